/// The command line as a function, so that tests can call it.
#pragma once

namespace cstp {

/// @return the exit code. @throws cstp::Error and others; tools/main.cpp turns them into messages and exit codes
int run_app(int argc, const char* const* argv);

}  // namespace cstp
