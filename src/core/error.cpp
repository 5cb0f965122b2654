#include "cstp/core/error.h"

#include "cstp/core/text.h"

namespace cstp::detail {

void check_failed(std::string_view text, const char* file, int line) {
  std::string_view name = file;
  if (const auto slash = name.rfind('/'); slash != std::string_view::npos) name.remove_prefix(slash + 1);
  throw std::logic_error(cat("bug in cstp: ", text, " (", name, ":", line, "); please report it"));
}

}  // namespace cstp::detail
