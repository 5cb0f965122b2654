// The cstp program: errors -> one sentence on stderr and an exit code.
#include <c10/util/Exception.h>

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <new>
#include <string>
#include <string_view>

#include "cstp/cli/app.h"
#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/process.h"
#include "cstp/engine/trainer.h"

namespace {

int report(cstp::ExitCode code, const std::string& message) {
  cstp::log::status_line("");
  cstp::log::error(message);
  return static_cast<int>(code);
}

/// The first signal asks for a save and a clean stop; the second ends the program at once.
void on_signal(int signal) {
  cstp::request_stop();
  std::signal(signal, SIG_DFL);
}

/// Starts the program anew with what its libraries read before main, for commands that compute.
/// Spinning: threads that wait at a barrier of libgomp, LibTorch's, spin for tens of milliseconds before they sleep.
/// Beside other work on the same cores a training then all but stands still: 20 steps in 5 s become more than a minute.
/// A tenth of that time costs nothing on free cores.
/// Huge pages: a step goes through gigabytes, and with pages of 4 KiB much of its time goes into finding them.
void restart_tuned(int argc, char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  const bool computes = std::any_of(argv, argv + argc, [](std::string_view argument) {
    return argument == "train" || argument == "eval" || argument == "retrieve" || argument == "embed" ||
           argument == "bench";
  });
  if (!computes) return;
  std::error_code error;
  const auto program =
      std::filesystem::read_symlink("/proc/self/exe", error);  // by its path: it is listed under its name
  ::setenv("GOMP_SPINCOUNT", "30000", 1);
  ::setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1", 0);
  if (!error) ::execv(program.c_str(), argv);  // where that cannot be done, the program goes on as it is
}

}  // namespace

int main(int argc, char** argv) {
  restart_tuned(argc, argv);
  cstp::keep_freed_memory();
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) std::signal(signal, on_signal);
  try {
    return cstp::run_app(argc, argv);
  } catch (const cstp::Error& error) {
    return report(error.code(), error.what());
  } catch (const c10::OutOfMemoryError& error) {
    return report(cstp::ExitCode::device,
                  std::string("the GPU has too little memory; try a lower train.batch, clip.size or "
                              "model.width, or train.precision=bf16 (") +
                      error.what_without_backtrace() + ")");
  } catch (const std::bad_alloc&) {
    return report(cstp::ExitCode::device, "out of memory; try a lower train.batch, loader.prefetch or loader.workers");
  } catch (const c10::Error& error) {
    return report(cstp::ExitCode::bug, error.what_without_backtrace());
  } catch (const std::exception& error) {
    return report(cstp::ExitCode::bug, error.what());
  }
}
