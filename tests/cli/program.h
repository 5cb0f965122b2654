/// Runs the built program in a folder of the test's own.
#pragma once
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cstp/core/text.h"
#include "cstp/video/synthetic.h"

namespace cstp {

struct Outcome {
  int code = 0;  ///< exit code, or 128 + signal
  std::string out, err;
  nlohmann::json json() const { return nlohmann::json::parse(out); }
};

class Program {
 public:
  Program() {
    static int count = 0;
    folder_ = std::filesystem::temp_directory_path() / cat("cstp_program_", ::getpid(), "_", count++);
    std::filesystem::create_directories(folder_);
  }
  ~Program() { std::filesystem::remove_all(folder_); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  /// Two classes, 6 training and 3 test videos each, as root/train/CLASS/*.mp4 and root/test/CLASS/*.mp4.
  void make_videos(const std::string& name = "data") const {
    SyntheticOptions options;
    options.classes = 2;
    options.train_per_class = 6;
    options.test_per_class = 3;
    options.frames = 40;
    options.width = 64;
    options.height = 48;
    make_synthetic(path(name), options, 2);
  }

  /// Arguments that make any command tiny: run after the command's name.
  std::vector<std::string> tiny(const std::string& output = "run") const {
    std::vector<std::string> arguments = {"--config", "synthetic_quick.yaml", "--output", path(output)};
    for (const std::string& set :
         {"data.root=" + path("data"), std::string("model.width=0.125"), std::string("clip.frames=8"),
          std::string("clip.size=32"), std::string("objective.projector_hidden=32"),
          std::string("objective.max_rate=1"), std::string("train.batch=4"), std::string("train.epochs=10"),
          std::string("train.checkpoint_every=5"), std::string("train.log_every=5"), std::string("train.threads=1"),
          std::string("train.device=cpu"), std::string("loader.workers=2"), std::string("eval.clips=2"),
          std::string("eval.stride=2"), std::string("eval.linear.train_clips=2"),
          std::string("eval.linear.epochs=5")}) {
      arguments.push_back("--set");
      arguments.push_back(set);
    }
    return arguments;
  }

  Outcome run(std::vector<std::string> arguments, const std::vector<std::string>& more = {}) const {
    arguments.insert(arguments.end(), more.begin(), more.end());
    const pid_t child = start(arguments);
    return finish(child);
  }
  /// `command` with the tiny settings and what is given besides.
  Outcome run_tiny(const std::string& command, const std::vector<std::string>& more = {},
                   const std::string& output = "run") const {
    std::vector<std::string> arguments = {command};
    const auto settings = tiny(output);
    arguments.insert(arguments.end(), settings.begin(), settings.end());
    return run(arguments, more);
  }

  /// Starts without waiting; stdout and stderr go to files.
  pid_t start(const std::vector<std::string>& arguments) const { return start_other(CSTP_PROGRAM, arguments); }
  /// Another program, with more variables in its environment. @param name of its files
  pid_t start_other(const std::string& program, const std::vector<std::string>& arguments,
                    const std::map<std::string, std::string>& variables = {}, const std::string& name = "") const {
    std::vector<char*> argv = {const_cast<char*>(program.c_str())};
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
      redirect(path("stdout" + name), STDOUT_FILENO);
      redirect(path("stderr" + name), STDERR_FILENO);
      for (const auto& [variable, value] : variables) ::setenv(variable.c_str(), value.c_str(), 1);
      if (::chdir(folder_.c_str()) != 0) ::_exit(126);  // configs must be found from any folder
      ::execv(program.c_str(), argv.data());
      ::_exit(127);
    }
    return child;
  }
  Outcome finish(pid_t child, const std::string& name = "") const {
    int status = 0;
    ::waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_text_file(path("stdout" + name)),
            read_text_file(path("stderr" + name))};
  }

 private:
  static void redirect(const std::string& file, int descriptor) {
    const int handle = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::dup2(handle, descriptor);
    ::close(handle);
  }
  std::filesystem::path folder_;
};

}  // namespace cstp
