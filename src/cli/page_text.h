/// The page's markup, style and script: src/cli/page/*, joined by CMake.
#pragma once
#include <string_view>

namespace cstp {

/// Where the data goes.
inline constexpr std::string_view kPageDataMark = "<!--data-->";
/// Tells our pages from others.
inline constexpr std::string_view kPageGenerator = "<meta name=\"generator\" content=\"cstp retrieve\">";
std::string_view retrieval_page_text();

}  // namespace cstp
