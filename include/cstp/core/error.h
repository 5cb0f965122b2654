/// Errors that users can act on, one type per exit code, and check() for our own mistakes.
///
/// Throw where the fact is known; one handler in tools/main.cpp turns the type into the exit code. A message is one
/// sentence that says where, what was found, what was wanted and what to try.
#pragma once
#include <stdexcept>
#include <string>
#include <string_view>

namespace cstp {

enum class ExitCode : int {
  done = 0,
  bug = 1,         ///< our mistake, or anything unforeseen
  usage = 2,       ///< command line or configuration
  data = 3,        ///< data set missing, or too many bad videos
  checkpoint = 4,  ///< unreadable or mismatched checkpoint
  numeric = 5,     ///< non-finite loss, collapse
  device = 6,      ///< no GPU, out of memory, a rank lost
  stopped = 75,    ///< stopped by a signal after a save; the same command resumes
};

/// Base of every error that carries its exit code.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

/// Bad command line.
struct UsageError : Error {
  explicit UsageError(const std::string& message) : Error(ExitCode::usage, message) {}
};
/// Bad configuration: message starts with file:line:column or the flag that set the value.
struct ConfigError : Error {
  explicit ConfigError(const std::string& message) : Error(ExitCode::usage, message) {}
};
/// Data that cannot be used.
struct DataError : Error {
  explicit DataError(const std::string& message) : Error(ExitCode::data, message) {}
};
/// One video that cannot be decoded; the loader counts and replaces it, evaluation reports it.
struct DecodeError : DataError {
  using DataError::DataError;
};
struct CheckpointError : Error {
  explicit CheckpointError(const std::string& message) : Error(ExitCode::checkpoint, message) {}
};
struct NumericError : Error {
  explicit NumericError(const std::string& message) : Error(ExitCode::numeric, message) {}
};
struct DeviceError : Error {
  explicit DeviceError(const std::string& message) : Error(ExitCode::device, message) {}
};

namespace detail {
[[noreturn]] void check_failed(std::string_view text, const char* file, int line);
}

/// Guards our own mistakes; users should never see it. Evaluates its condition in every build type.
inline void check(bool condition, std::string_view text, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
  if (!condition) [[unlikely]] {
    detail::check_failed(text, file, line);
  }
}

}  // namespace cstp
