#include "cstp/core/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <set>

namespace cstp::log {
namespace {

/// stderr with one status line kept below the log lines.
class TerminalSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  void status(std::string_view text) {
    const std::lock_guard<std::mutex> lock(mutex_);
    erase();
    status_ = text.substr(0, columns() - 1);  // a line that wraps could not be redrawn
    draw();
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    erase();
    std::fwrite(line.data(), 1, line.size(), stderr);
    draw();
  }
  void flush_() override { std::fflush(stderr); }

 private:
  void erase() const {
    if (!status_.empty()) std::fputs("\r\033[K", stderr);
  }
  void draw() const {
    if (!status_.empty()) std::fputs(status_.c_str(), stderr);
    std::fflush(stderr);
  }
  static size_t columns() {
    winsize size{};
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
  }
  std::string status_;
};

struct Sinks {
  std::shared_ptr<TerminalSink> terminal = std::make_shared<TerminalSink>();
  std::shared_ptr<spdlog::logger> logger = std::make_shared<spdlog::logger>("cstp", terminal);
  Sinks() {
    logger->set_pattern("%H:%M:%S %L %v");
    logger->flush_on(spdlog::level::trace);
  }
};

Sinks& sinks() {
  static Sinks instance;
  return instance;
}

std::atomic<bool> first_rank{true};

spdlog::level::level_enum level_of(Level level) {
  switch (level) {
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warning: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
    case Level::off: return spdlog::level::off;
  }
  return spdlog::level::info;
}

}  // namespace

bool is_first_rank() { return first_rank; }

void configure(Level level, int rank) {
  first_rank = rank == 0;
  auto shown = level_of(level);
  if (rank > 0 && shown < spdlog::level::warn) shown = spdlog::level::warn;
  sinks().logger->set_level(shown);
  sinks().logger->set_pattern(rank > 0 ? "%H:%M:%S %L rank " + std::to_string(rank) + ": %v" : "%H:%M:%S %L %v");
}

void write(Level level, std::string_view line) { sinks().logger->log(level_of(level), line); }

void warn_once(std::string_view key, std::string_view line) {
  static std::mutex mutex;
  static std::set<std::string, std::less<>> seen;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    if (!seen.emplace(key).second) return;
  }
  write(Level::warning, line);
}

bool has_terminal() {
  static const bool terminal = ::isatty(STDERR_FILENO) == 1;
  return terminal;
}

void status_line(std::string_view text) {
  if (has_terminal()) sinks().terminal->status(text);
}

}  // namespace cstp::log
