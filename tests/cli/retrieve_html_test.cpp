// `cstp retrieve --html` as a user calls it: the page beside the same result, and what can go wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.h"

namespace cstp {
namespace {

using testing::HasSubstr;

/// The data of a page, as its script would parse it.
nlohmann::json page_data_of(const std::string& folder) {
  const std::string page = read_text_file(folder + "/index.html");
  const std::string mark = "id=\"data\">";
  const size_t start = page.find(mark) + mark.size();
  return nlohmann::json::parse(page.substr(start, page.find("</script>", start) - start));
}

std::string last_line(const Outcome& outcome) {
  const auto lines = split_lines(outcome.err);
  return lines.empty() ? "" : lines.back();
}

TEST(RetrieveHtml, WritesAPageWhoseClipsAreAllThereBesideTheSameResult) {
  const Program program;
  program.make_videos();
  const Outcome plain = program.run_tiny("retrieve", {"--json"});
  const Outcome paged = program.run_tiny(
      "retrieve", {"--json", "--html", program.path("page"), "--html-queries", "4", "--html-neighbours", "3"});
  ASSERT_EQ(paged.code, 0) << paged.err;
  EXPECT_EQ(paged.out, plain.out);
  EXPECT_THAT(paged.err, HasSubstr("page/index.html"));
  const auto data = page_data_of(program.path("page"));
  EXPECT_EQ(data["weights"], "untrained");
  EXPECT_EQ(data["recall"][0]["value"], plain.json()["recall"]["1"]);
  EXPECT_EQ(data["recall"][0]["chance"], 0.5);  // two classes of equal size
  EXPECT_EQ(data["map"], plain.json()["map"]);
  EXPECT_EQ(data["classes"], (std::vector<std::string>{"drift", "orbit"}));
  EXPECT_EQ(data["queries"]["decoded"], 6);
  EXPECT_EQ(data["gallery"]["total"], 12);
  ASSERT_EQ(data["cards"].size(), 4U);
  size_t hits = 0;
  for (const auto& card : data["cards"]) {
    EXPECT_EQ(card["near"].size(), 3U);
    const auto& nearest = data["videos"][card["near"][0][0].get<size_t>()];
    EXPECT_EQ(card["first"] == 1, nearest["class"] == data["videos"][card["video"].get<size_t>()]["class"]);
    hits += card["first"] == 1;
  }
  EXPECT_LE(hits, 4U);
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(program.path("page/media"))) {
    EXPECT_GT(entry.file_size(), 100U);
    ++files;
  }
  EXPECT_EQ(files, 2 * data["videos"].size());  // a clip and a still each, nothing else
  for (const auto& video : data["videos"]) {
    const std::string base = cat(program.path("page/media/"), video["clip"].get<std::string>());
    EXPECT_TRUE(std::filesystem::exists(base + ".mp4") && std::filesystem::exists(base + ".jpg"));
  }
  const auto again = read_text_file(program.path("page/index.html"));
  program.run_tiny("retrieve",
                   {"--json", "--html", program.path("page"), "--html-queries", "4", "--html-neighbours", "3"});
  EXPECT_EQ(read_text_file(program.path("page/index.html")), again);
}

TEST(RetrieveHtml, ShowsUnlabelledQueriesWithoutHits) {
  const Program program;
  program.make_videos();
  write_file_atomically(program.path("train.txt"), "drift/0000.mp4\ndrift/0001.mp4\norbit/0000.mp4\n");
  write_file_atomically(program.path("test.txt"), "drift/0002.mp4\norbit/0001.mp4\n");
  const Outcome outcome = program.run_tiny(
      "retrieve", {"--json", "--html", program.path("page"), "--set", "data.format=list", "--set",
                   "data.root=" + program.path("data/train"), "--set", "data.train=" + program.path("train.txt"),
                   "--set", "data.test=" + program.path("test.txt")});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(outcome.json()["recall"]["1"].is_null());
  EXPECT_TRUE(outcome.json()["map"].is_null());
  const auto data = page_data_of(program.path("page"));
  EXPECT_EQ(data["cards"].size(), 2U);
  EXPECT_TRUE(data["rows"].empty());
  EXPECT_TRUE(data["videos"][0]["class"].is_null());
  EXPECT_EQ(data["cards"][0]["near"].size(), 3U);
}

TEST(RetrieveHtml, ABadFolderCostsThePageButNotTheResult) {
  const Program program;
  program.make_videos();
  write_file_atomically(program.path("file"), "mine");
  const Outcome file = program.run_tiny("retrieve", {"--json", "--html", program.path("file")});
  EXPECT_EQ(file.code, 2);
  EXPECT_EQ(file.json()["queries"], 6);
  EXPECT_THAT(last_line(file), HasSubstr(cat("--html ", program.path("file"), ": is a file")));
  EXPECT_EQ(read_text_file(program.path("file")), "mine");
  const Outcome below = program.run_tiny("retrieve", {"--json", "--html", program.path("file/page")});
  EXPECT_EQ(below.code, 3);
  EXPECT_EQ(below.json()["queries"], 6);
  EXPECT_THAT(last_line(below), HasSubstr("cannot be made (Not a directory)"));
}

TEST(RetrieveHtml, AFullDiskIsOneSentenceAndTheEarlierPageStands) {
  const Program program;
  program.make_videos();
  ASSERT_EQ(program.run_tiny("retrieve", {"--html", program.path("page"), "--html-queries", "2"}).code, 0);
  const std::string before = read_text_file(program.path("page/index.html"));
  // A limit on the size of files stands for the full disk: writing fails half way in both.
  const auto limited = [&](const std::string& folder) {
    std::string command = "ulimit -f 2; trap '' XFSZ; exec '" + std::string(CSTP_PROGRAM) + "' retrieve --json";
    for (const std::string& argument : program.tiny()) command += " '" + argument + "'";
    command += " --html '" + folder + "' > '" + program.path("out") + "' 2> '" + program.path("err") + "'";
    const int status = std::system(("bash -c \"" + command + "\"").c_str());
    return Outcome{WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_text_file(program.path("out")),
                   read_text_file(program.path("err"))};
  };
  for (const std::string folder : {"page", "fresh"}) {
    const Outcome outcome = limited(program.path(folder));
    EXPECT_EQ(outcome.code, 3) << outcome.err;
    EXPECT_EQ(outcome.json()["queries"], 6);
    EXPECT_THAT(last_line(outcome), HasSubstr("File too large"));
  }
  EXPECT_EQ(read_text_file(program.path("page/index.html")), before);
  EXPECT_FALSE(std::filesystem::exists(program.path("fresh/index.html")));
}

TEST(RetrieveHtml, ItsOptionsAreChecked) {
  const Program program;
  EXPECT_EQ(program.run_tiny("retrieve", {"--html-queries", "5"}).code, 2);
  EXPECT_EQ(program.run_tiny("retrieve", {"--html", program.path("page"), "--html-neighbours", "0"}).code, 2);
  EXPECT_EQ(program.run_tiny("retrieve", {"--html", program.path("page"), "--html-queries", "-1"}).code, 2);
  EXPECT_FALSE(std::filesystem::exists(program.path("page")));
  EXPECT_THAT(program.run({"retrieve", "--help"}).out, HasSubstr("--html-neighbours"));
}

}  // namespace
}  // namespace cstp
