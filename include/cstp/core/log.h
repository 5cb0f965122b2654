/// Logging façade over spdlog. Lines go to stderr; results go to stdout elsewhere.
///
/// spdlog stays behind this file: its fmt and LibTorch's do not compile in one translation unit.
#pragma once
#include <string>
#include <string_view>

#include "cstp/core/text.h"

namespace cstp::log {

enum class Level { debug, info, warning, error, off };

/// Sets the lowest level shown and whether this process may write at all (ranks other than 0 are silent below warning).
void configure(Level level, int rank = 0);

void write(Level level, std::string_view line);

template <class... Parts>
void debug(const Parts&... parts) {
  write(Level::debug, cat(parts...));
}
template <class... Parts>
void info(const Parts&... parts) {
  write(Level::info, cat(parts...));
}
template <class... Parts>
void warning(const Parts&... parts) {
  write(Level::warning, cat(parts...));
}
/// False on every rank but the first.
bool is_first_rank();
/// A warning that every rank would give in the same words: the first rank gives it.
template <class... Parts>
void common_warning(const Parts&... parts) {
  if (is_first_rank()) write(Level::warning, cat(parts...));
}
template <class... Parts>
void error(const Parts&... parts) {
  write(Level::error, cat(parts...));
}

/// A warning shown once per key in this process. Thread-safe.
void warn_once(std::string_view key, std::string_view line);

/// A line that stays at the bottom of a terminal and is redrawn (the progress bar); "" removes it. Log lines written
/// meanwhile appear above it. Does nothing where stderr is no terminal.
void status_line(std::string_view text);
/// True where status_line draws.
bool has_terminal();

}  // namespace cstp::log
