/// What this program was built from: part of every checkpoint and every result.
#pragma once
#include <string>

namespace cstp {

/// "0.1.0 (9f2b286)": the version and `git describe` of the checkout when it was built, "-dirty" where files had
/// changed; "0.1.0" outside a git checkout.
std::string version_text();
/// "g++ 12.2.0".
std::string compiler_text();

/// Hash of this program's own file, 16 hexadecimal digits; "" if it cannot be read. Equal programs have equal hashes,
/// which `git describe` cannot promise for a checkout with changes. Libraries it loads are not covered.
std::string program_hash();

}  // namespace cstp
