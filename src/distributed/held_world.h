/// A World in what an autograd function keeps between its forward and its backward pass.
#pragma once
#include <ATen/core/ivalue.h>

#include "cstp/distributed/world.h"

namespace cstp {

struct HeldWorld : torch::CustomClassHolder {
  explicit HeldWorld(const World& w) : world(w) {}
  World world;
};

inline c10::IValue hold(const World& world) { return c10::IValue::make_capsule(c10::make_intrusive<HeldWorld>(world)); }
inline const World& held(const c10::IValue& value) {
  return static_cast<const HeldWorld*>(value.toCapsule().get())->world;
}

}  // namespace cstp
