/// A rival in a process of its own that stays: benchmarks alternate with it.
#pragma once
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {

/// A process that answers a line with a line. @param needs what its Python must have, for errors
class Peer {
 public:
  Peer(const std::vector<std::string>& command, std::string needs) : needs_(std::move(needs)) {
    std::array<int, 2> to{}, from{};
    if (::pipe(to.data()) != 0 || ::pipe(from.data()) != 0) throw DataError("the peer's pipes could not be made");
    ::signal(SIGPIPE, SIG_IGN);  // that it is gone is told by the answer that does not come
    child_ = ::fork();
    if (child_ == 0) {
      ::signal(SIGPIPE, SIG_DFL);
      ::dup2(to[0], STDIN_FILENO);
      ::dup2(from[1], STDOUT_FILENO);
      for (const int end : {to[0], to[1], from[0], from[1]}) ::close(end);
      std::vector<char*> arguments;
      for (const std::string& part : command) arguments.push_back(const_cast<char*>(part.c_str()));
      arguments.push_back(nullptr);
      ::unsetenv("GLIBC_TUNABLES");  // ours (restart_tuned); that waiting threads sleep soon is left to it
      ::execvp(arguments[0], arguments.data());
      ::_exit(127);
    }
    ::close(to[0]);
    ::close(from[1]);
    to_ = ::fdopen(to[1], "w");
    from_ = ::fdopen(from[0], "r");
  }
  ~Peer() {
    std::fclose(to_);  // ends its loop
    std::fclose(from_);
    ::waitpid(child_, nullptr, 0);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  /// @return what follows "ok"
  std::string ask(const std::string& line) {
    std::fputs((line + "\n").c_str(), to_);
    std::fflush(to_);
    std::string answer;
    for (int c = std::fgetc(from_); c != EOF && c != '\n'; c = std::fgetc(from_)) answer += static_cast<char>(c);
    if (!answer.starts_with("ok")) {
      throw DataError(
          cat("the peer did not answer '", line, "' (it said '", answer, "'); does its Python have ", needs_, "?"));
    }
    return answer.substr(std::min<size_t>(3, answer.size()));
  }

 private:
  std::string needs_;
  pid_t child_ = 0;
  std::FILE* to_ = nullptr;
  std::FILE* from_ = nullptr;
};

}  // namespace cstp
