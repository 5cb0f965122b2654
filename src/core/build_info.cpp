#include "cstp/core/build_info.h"

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp_version.h"  // written at build time by cmake/Version.cmake

namespace cstp {

std::string version_text() {
  const std::string commit = CSTP_COMMIT;
  return commit.empty() ? CSTP_VERSION : cat(CSTP_VERSION, " (", commit, ")");
}

std::string compiler_text() { return cat("g++ ", __VERSION__); }

std::string program_hash() {
  try {
    return hex_text(fingerprint(read_text_file("/proc/self/exe")));
  } catch (const DataError&) {
    return "";
  }
}

}  // namespace cstp
