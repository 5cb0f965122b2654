/// Runs the Python scripts beside the tests, in a folder that goes away with the test.
#pragma once
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace cstp {

class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "cstp-models-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

/// What a script that could not import its modules exits with; also where there is no interpreter.
constexpr int kMissingModules = 77;

/// Exit status of `python script arguments`.
inline int run_python(const std::string& script, const std::string& arguments) {
  if (::access(CSTP_PYTHON, X_OK) != 0) return kMissingModules;
  const int status =
      std::system((std::string(CSTP_PYTHON) + " " + CSTP_PYTHON_SCRIPTS + "/" + script + " " + arguments).c_str());
  return status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace cstp

/// Runs a script in a test; skips the test where Python lacks what the script imports.
#define RUN_PYTHON_OR_SKIP(script, arguments)                                                       \
  switch (cstp::run_python(script, arguments)) {                                                    \
    case 0: break;                                                                                  \
    case cstp::kMissingModules:                                                                     \
      GTEST_SKIP() << CSTP_PYTHON << " cannot import what " << script                               \
                   << " needs; set CSTP_PYTHON to an interpreter with torchvision and safetensors"; \
    default: FAIL() << script << " " << arguments << " failed";                                     \
  }
