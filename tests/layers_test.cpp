// Dependencies point down: reads every #include of the project and fails on an upward or a circular one, and on a
// library that comes in by another door than its own.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

/// A layer may include itself and what stands before it; models know only core and distributed.
const std::vector<std::string> kLayers = {"core",        "video",  "sampling",   "data",   "augment",
                                          "distributed", "models", "objectives", "engine", "cli"};
const std::map<std::string, std::set<std::string>> kAllowed = {
    {"core", {}},
    {"video", {"core"}},
    {"sampling", {"core", "video"}},
    {"data", {"core", "video", "sampling"}},
    {"augment", {"core", "video", "sampling", "data"}},
    {"distributed", {"core"}},
    {"models", {"core", "distributed"}},
    {"objectives", {"core", "video", "sampling", "data", "augment", "distributed", "models"}},
    {"engine", {"core", "video", "sampling", "data", "augment", "distributed", "models", "objectives"}},
    {"cli", {"core", "video", "sampling", "data", "augment", "distributed", "models", "objectives", "engine"}},
};

struct SourceFile {
  std::string layer, path;
  std::vector<std::string> includes;
};

std::vector<SourceFile> source_files() {
  std::vector<SourceFile> files;
  const std::regex include_line(R"(^\s*#include\s*[<"]([^>"]+)[>"])");
  for (const std::string& layer : kLayers) {
    for (const fs::path& root :
         {fs::path(CSTP_SOURCE_FOLDER) / "include/cstp" / layer, fs::path(CSTP_SOURCE_FOLDER) / "src" / layer}) {
      if (!fs::exists(root)) continue;
      for (const auto& entry : fs::recursive_directory_iterator(root)) {
        const std::string extension = entry.path().extension().string();
        if (extension != ".h" && extension != ".cpp" && extension != ".cu") continue;
        SourceFile file{layer, fs::relative(entry.path(), CSTP_SOURCE_FOLDER).string(), {}};
        std::ifstream in(entry.path());
        std::smatch match;
        for (std::string line; std::getline(in, line);) {
          if (std::regex_search(line, match, include_line)) file.includes.push_back(match[1]);
        }
        files.push_back(file);
      }
    }
  }
  return files;
}

TEST(Layers, EveryIncludePointsDown) {
  int checked = 0;
  for (const SourceFile& file : source_files()) {
    for (const std::string& include : file.includes) {
      if (!include.starts_with("cstp/")) continue;
      const std::string layer = include.substr(5, include.find('/', 5) - 5);
      ++checked;
      EXPECT_TRUE(layer == file.layer || kAllowed.at(file.layer).contains(layer))
          << file.path << " includes " << include;
    }
  }
  EXPECT_GT(checked, 100);
}

TEST(Layers, NoHeaderIncludesItselfInACircle) {
  std::map<std::string, std::vector<std::string>> graph;
  for (const SourceFile& file : source_files()) {
    if (file.path.starts_with("include/cstp/")) graph[file.path.substr(8)] = file.includes;
  }
  std::map<std::string, int> state;  // 1: being visited, 2: done
  const std::function<void(const std::string&)> visit = [&](const std::string& header) {
    state[header] = 1;
    for (const std::string& next : graph[header]) {
      if (!graph.contains(next)) continue;
      EXPECT_NE(state[next], 1) << header << " and " << next << " include each other";
      if (state[next] == 0) visit(next);
    }
    state[header] = 2;
  };
  std::vector<std::string> headers;
  for (const auto& [header, includes] : graph) headers.push_back(header);
  for (const std::string& header : headers) {
    if (state[header] == 0) visit(header);
  }
}

TEST(Layers, EveryLibraryHasOneDoor) {
  const auto starts_with_any = [](const std::string& text, const std::vector<std::string>& starts) {
    return std::any_of(starts.begin(), starts.end(), [&](const std::string& start) { return text.starts_with(start); });
  };
  for (const SourceFile& file : source_files()) {
    for (const std::string& include : file.includes) {
      const bool at_its_door = !(starts_with_any(include, {"libav", "libsw", "opencv2/"}) && file.layer != "video") &&
                               !(include.starts_with("yaml-cpp/") && file.path != "src/core/config.cpp") &&
                               !(include.starts_with("spdlog/") && file.path != "src/core/log.cpp") &&
                               !(include.starts_with("archive") && file.path != "src/data/tar_file.cpp") &&
                               !(include.starts_with("CLI/") && file.layer != "cli") &&
                               !(include.starts_with("faiss/") && file.path != "src/engine/faiss_index.cpp");
      EXPECT_TRUE(at_its_door) << file.path << " includes " << include;
      if (starts_with_any(include, {"torch/", "ATen/", "c10/"})) {
        EXPECT_FALSE(starts_with_any(file.layer, {"core", "video", "sampling", "data"}))
            << file.path << " includes " << include;
      }
    }
  }
}

TEST(Layers, BasenamesAreUnique) {
  std::map<std::string, std::string> seen;
  for (const SourceFile& file : source_files()) {
    const fs::path path = file.path;
    const std::string name = path.filename().string();
    EXPECT_EQ(seen.count(name), 0U) << file.path << " and " << seen[name];
    seen[name] = file.path;
  }
}

}  // namespace
