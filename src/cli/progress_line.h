/// How far long work over many videos is: in place on a terminal, else a line every half minute.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include "cstp/core/log.h"
#include "cstp/core/text.h"

namespace cstp {

class ProgressLine {
 public:
  /// @param work its name, "flow"
  explicit ProgressLine(std::string work) : work_(std::move(work)) {}
  ~ProgressLine() { log::status_line(""); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(int64_t done, int64_t all) {
    const auto now = std::chrono::steady_clock::now();
    if (first_ < 0) first_ = done - 1;  // what an earlier call has done took no time
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const std::string line =
        cat(work_, "  ", bar_text(done, all), "  ", count_text(done), "/", count_text(all), " videos  ETA ",
            duration_text(seconds / static_cast<double>(done - first_) * static_cast<double>(all - done)));
    if (log::has_terminal()) {
      log::status_line(line);
    } else if (now - spoken_ > std::chrono::seconds(30)) {
      log::info(line);
      spoken_ = now;
    }
  }

 private:
  std::string work_;
  int64_t first_ = -1;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now(), spoken_ = start_;
};

}  // namespace cstp
