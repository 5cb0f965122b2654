/// A vector whose resize() leaves numbers unset, for buffers that are written whole right after: setting the views of a
/// clip to zero first costs a tenth of what rendering them does.
#pragma once
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace cstp {

template <class T>
struct UnsetAllocator : std::allocator<T> {
  template <class U>
  struct rebind {
    using other = UnsetAllocator<U>;
  };
  template <class U>
  void construct(U* place) {
    ::new (static_cast<void*>(place)) U;
  }
  template <class U, class... Values>
  void construct(U* place, Values&&... values) {
    ::new (static_cast<void*>(place)) U(std::forward<Values>(values)...);
  }
};

template <class T>
using UnsetVector = std::vector<T, UnsetAllocator<T>>;

}  // namespace cstp
