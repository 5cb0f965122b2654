/// Comma-separated values as RFC 4180 has them: quoted where a field holds a comma, a quote or a line end.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace cstp {

/// One line with its line end.
std::string csv_line(const std::vector<std::string>& fields);

/// Lines of fields; a last empty line is dropped. @throws DataError if a quote is never closed
std::vector<std::vector<std::string>> parse_csv(std::string_view text);

}  // namespace cstp
