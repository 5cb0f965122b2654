// The cstp program: errors -> one sentence on stderr and an exit code.
#include <c10/util/Exception.h>

#include <algorithm>
#include <csignal>
#include <exception>
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

bool computes(int argc, char** argv) {
  return std::any_of(argv, argv + argc, [](std::string_view argument) {
    return argument == "train" || argument == "eval" || argument == "retrieve" || argument == "embed" ||
           argument == "bench";
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (computes(argc, argv)) cstp::restart_tuned(argv);
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
