/// What the main() of a tool comes to: its work done, or one sentence on stderr and the exit code that the error has.
#pragma once
#include <exception>
#include <iostream>

#include "cstp/core/error.h"

namespace cstp {

template <class Work>
int run_tool(const char* name, const Work& work) {
  try {
    work();
    return static_cast<int>(ExitCode::done);
  } catch (const Error& error) {
    std::cerr << name << ": " << error.what() << "\n";
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::cerr << name << ": " << error.what() << "\n";
    return static_cast<int>(ExitCode::bug);
  }
}

}  // namespace cstp
