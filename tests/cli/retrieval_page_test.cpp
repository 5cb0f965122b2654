// What the retrieval page says and shows, part by part: numbers by hand, hostile names, clips.
#include "retrieval_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "cstp/core/error.h"
#include "program.h"

namespace cstp {
namespace {

using testing::HasSubstr;

/// Gallery: classes 0 0 1 2; queries: three of class 0, one of class 1, one of class 5 (absent), one unlabelled.
RetrievalReport made_report() {
  RetrievalReport report;
  report.classes = {"a", "b", "c"};
  report.root = "videos";
  for (const int64_t label : {0, 0, 1, 2}) {
    report.gallery.push_back({cat("videos/g", report.gallery.size(), ".mp4"), label});
  }
  for (const int64_t label : {0, 0, 0, 1, 5, -1}) {
    report.queries.push_back({cat("videos/q", report.queries.size(), ".mp4"), label});
  }
  report.nearest = {{{0, .9}, {2, .8}}, {{2, .9}, {1, .8}}, {{3, .9}, {2, .8}},
                    {{2, .9}, {0, .8}}, {{0, .9}, {1, .8}}, {{1, .9}, {0, .8}}};
  report.first_hit = {1, 2, 3, 1, 0, 0};
  report.precision = {1, 0.5, 0.4, 1, 0, 0};
  report.recall = {{1, 0.4}, {2, 0.6}, {9, std::nullopt}};
  report.map = 0.58;
  return report;
}

TEST(ClassRows, AreWhatOneCountsByHand) {
  const auto rows = class_rows(made_report());
  ASSERT_EQ(rows.size(), 3U);  // classes with queries: 0, 1, 5
  EXPECT_EQ(rows[0].label, 0);
  EXPECT_EQ(rows[0].queries, 3);
  EXPECT_EQ(rows[0].gallery, 2);
  EXPECT_DOUBLE_EQ(*rows[0].recall[0], 1.0 / 3);
  EXPECT_DOUBLE_EQ(*rows[0].recall[1], 2.0 / 3);
  EXPECT_FALSE(rows[0].recall[2].has_value());  // 9 of a gallery of 4
  EXPECT_DOUBLE_EQ(rows[0].map, (1 + 0.5 + 0.4) / 3);
  EXPECT_EQ(rows[0].mistaken_for, 1);  // once for 1, once for 2: the first of equal ones
  EXPECT_EQ(rows[0].mistaken, 1);
  EXPECT_EQ(*rows[1].recall[0], 1);
  EXPECT_EQ(rows[1].mistaken_for, -1);
  EXPECT_EQ(rows[2].label, 5);
  EXPECT_EQ(rows[2].gallery, 0);
  EXPECT_EQ(*rows[2].recall[1], 0);
  EXPECT_EQ(rows[2].mistaken_for, 0);
}

TEST(ChanceRecall, IsTheShareOfDrawsThatHoldTheClass) {
  const RetrievalReport report = made_report();
  // Of 4: a query of class 0 finds 2, of class 1 finds 1, of class 5 none. Five labelled queries.
  EXPECT_DOUBLE_EQ(*chance_recall(report, 1), (3 * 0.5 + 0.25) / 5);
  EXPECT_DOUBLE_EQ(*chance_recall(report, 2), (3 * (1 - 1.0 / 6) + 0.5) / 5);  // 1 of 6 pairs avoids both
  EXPECT_DOUBLE_EQ(*chance_recall(report, 4), 4.0 / 5);
  EXPECT_FALSE(chance_recall(report, 5).has_value());
  RetrievalReport unlabelled = report;
  for (VideoRecord& query : unlabelled.queries) query.label = -1;
  EXPECT_FALSE(chance_recall(unlabelled, 1).has_value());
}

std::vector<VideoRecord> queries_of(const std::vector<int64_t>& per_class) {
  std::vector<VideoRecord> queries;
  for (size_t label = 0; label < per_class.size(); ++label) {
    for (int64_t i = 0; i < per_class[label]; ++i) queries.push_back({"", static_cast<int64_t>(label)});
  }
  return queries;
}

TEST(ChooseQueries, SpreadsOverTheClassesAsTheQueriesAre) {
  const auto queries = queries_of({60, 30, 9, 1});
  std::map<int64_t, int64_t> counts;
  const auto chosen = choose_queries(queries, 10, 1);
  for (const int64_t row : chosen) ++counts[queries[static_cast<size_t>(row)].label];
  EXPECT_EQ(chosen.size(), 10U);
  EXPECT_EQ(counts[3], 1);  // every class, however small
  EXPECT_NEAR(static_cast<double>(counts[0]), 6, 1);
  EXPECT_NEAR(static_cast<double>(counts[1]), 3, 1);
  std::set<int64_t> labels;  // with no room for all classes, none stands twice
  for (const int64_t row : choose_queries(queries, 3, 1)) labels.insert(queries[static_cast<size_t>(row)].label);
  EXPECT_EQ(labels.size(), 3U);
}

TEST(ChooseQueries, IsAFunctionOfTheSeedAndGrowsByAppending) {
  const auto queries = queries_of({20, 20, 20});
  const auto some = choose_queries(queries, 12, 7);
  const auto all = choose_queries(queries, 0, 7);
  EXPECT_EQ(std::set<int64_t>(all.begin(), all.end()).size(), 60U);
  EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin()));
  EXPECT_EQ(choose_queries(queries, 1000, 7), all);
  EXPECT_NE(choose_queries(queries, 12, 8), some);
  EXPECT_TRUE(choose_queries({}, 5, 1).empty());
}

TEST(DisplayText, KeepsUtf8AndSpellsOutTheRest) {
  EXPECT_EQ(display_text("a # & ( ) ! ; [ ] % \" < \\ b.avi "), "a # & ( ) ! ; [ ] % \" < \\ b.avi ");
  EXPECT_EQ(display_text("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8e\xac"), "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8e\xac");
  EXPECT_EQ(display_text("\xff"
                         "a\xc3"),
            "\\xffa\\xc3");
  EXPECT_EQ(display_text("line\nfeed\x7f"), "line\\x0afeed\\x7f");
  EXPECT_EQ(display_text("\xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80"),  // overlong, surrogate, past the last character
            "\\xc0\\xaf \\xed\\xa0\\x80 \\xf4\\x90\\x80\\x80");
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t place = text.find(part); place != std::string::npos; place = text.find(part, place + 1)) ++count;
  return count;
}

/// The data of a page, as its script would parse it.
nlohmann::json embedded_data(const std::string& page) {
  const std::string mark = "id=\"data\">";
  const size_t start = page.find(mark) + mark.size();
  return nlohmann::json::parse(page.substr(start, page.find("</script>", start) - start));
}

TEST(PageHtml, NoNameCanEndTheElementThatHoldsTheData) {
  RetrievalReport report = made_report();
  report.queries[0].path = "videos/x</script><script>alert(1)</script><!--.avi";
  report.queries[1].path = "videos/\xff&lt;\xe2\x80\xa8.avi";
  report.classes[0] = "<b>&\"";
  const std::string page = page_html(page_data(report, page_cards(report, {})));
  const std::string plain = page_html(page_data(made_report(), page_cards(made_report(), {})));
  for (const char* part : {"<", ">", "</script>", "<!--", "&"})
    EXPECT_EQ(count_of(page, part), count_of(plain, part)) << part;
  const auto data = embedded_data(page);
  std::set<std::string> names;
  for (const auto& video : data["videos"]) names.insert(video["name"]);
  EXPECT_TRUE(names.contains("x</script><script>alert(1)</script><!--.avi"));
  EXPECT_TRUE(names.contains("\\xff&lt;\xe2\x80\xa8.avi"));
  EXPECT_EQ(data["classes"][0], "<b>&\"");
}

TEST(PageHtml, AsksForNothingOutsideItsFolder) {
  const std::string page = page_html(page_data(made_report(), page_cards(made_report(), {})));
  for (const char* part : {"http://", "https://", "//cdn", "@import", "url("})
    EXPECT_EQ(count_of(page, part), 0U) << part;
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
}

TEST(PageData, HoldsTheNumbersAndShowsNoFoldersOfThisMachine) {
  RetrievalReport report = made_report();
  report.root = "/home/someone/data";
  for (auto* videos : {&report.queries, &report.gallery}) {
    for (VideoRecord& video : *videos) video.path = "/home/someone/data/" + video.path;
  }
  report.queries[0].path = "/elsewhere/q0.mp4";
  PageOptions options;
  options.neighbours = 1;
  const auto data = page_data(report, page_cards(report, options));
  EXPECT_EQ(data["recall"][0]["value"], 0.4);
  EXPECT_TRUE(data["recall"][2]["value"].is_null());
  EXPECT_EQ(data["map"], 0.58);
  EXPECT_EQ(data["classes"].size(), 6U);  // label 5 has no name
  EXPECT_EQ(data["classes"][5], "class 5");
  ASSERT_EQ(data["cards"].size(), 6U);
  for (const auto& card : data["cards"]) {
    const auto row = card["row"].get<size_t>();
    EXPECT_EQ(card["first"], report.first_hit[row]);
    ASSERT_EQ(card["near"].size(), 1U);
    const auto& nearest = report.nearest[row].front();
    EXPECT_EQ(data["videos"][card["near"][0][0].get<size_t>()]["name"], cat("videos/g", nearest.row, ".mp4"));
    EXPECT_EQ(card["near"][0][1], nearest.cosine);
    EXPECT_EQ(data["videos"][card["video"].get<size_t>()]["name"], row == 0 ? "q0.mp4" : cat("videos/q", row, ".mp4"));
  }
  EXPECT_EQ(data.dump().find("someone"), std::string::npos);
}

TEST(PreviewFrames, LieInTheVideoAndLastAsLongAsTheyDoThere) {
  for (const double fps : {0.0, 0.2, 1.0, 10.0, 15.0, 24.0, 25.0, 29.97, 60.0, 1000.0}) {
    for (const int64_t count : {1, 2, 7, 25, 100, 100000}) {
      const VideoInfo video{.frames = count, .fps = fps, .width = 320, .height = 240, .seconds = 0};
      const PreviewFrames frames = preview_frames(video, {});
      EXPECT_GE(frames.first, 0);
      EXPECT_LT(frames.first + (frames.count - 1) * frames.step, count) << fps << " " << count;
      EXPECT_GE(frames.count, 1);
      EXPECT_LE(frames.count, 64);
      if (fps >= 1) {
        EXPECT_NEAR(frames.fps * static_cast<double>(frames.step), fps, 1e-9);
      }
    }
  }
  const PreviewFrames usual = preview_frames({.frames = 200, .fps = 25, .width = 320, .height = 240, .seconds = 8}, {});
  EXPECT_EQ(usual.step, 2);
  EXPECT_EQ(usual.count, 50);  // 4 s at 12.5 a second
  EXPECT_EQ(usual.first, 50);  // from the middle: frames 50 to 148 of 200
}

TEST(PreviewSize, IsEvenSmallAndInProportion) {
  const auto size = [](int64_t width, int64_t height) {
    return preview_size({.frames = 1, .fps = 25, .width = width, .height = height, .seconds = 1}, {});
  };
  EXPECT_EQ(size(320, 240), (std::pair<int64_t, int64_t>{150, 112}));
  EXPECT_EQ(size(1080, 1920), (std::pair<int64_t, int64_t>{112, 200}));
  EXPECT_EQ(size(64, 48), (std::pair<int64_t, int64_t>{64, 48}));      // not enlarged
  EXPECT_EQ(size(4000, 100), (std::pair<int64_t, int64_t>{256, 16}));  // long and thin
  EXPECT_EQ(size(175, 143), (std::pair<int64_t, int64_t>{138, 112}));  // odd
}

/// Names in FOLDER/media, with their sizes.
std::map<std::string, uintmax_t> media(const std::string& folder) {
  std::map<std::string, uintmax_t> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder + "/media")) {
    files[entry.path().filename().string()] = entry.file_size();
  }
  return files;
}

TEST(WriteClips, WritesEachFileOnceKeepsItAndClearsWhatIsNotShown) {
  const Program program;
  program.make_videos();
  const std::string page = program.path("page");
  prepare_page_folder(page);
  const std::string one = program.path("data/train/drift/0000.mp4");
  const std::string other = program.path("data/train/drift/0001.mp4");
  std::vector<PageVideo> videos = {{one, 0, "", ""}, {other, 0, "", ""}, {one, 1, "", ""}};
  write_clips(videos, page, {}, 2);
  EXPECT_EQ(videos[0].clip, videos[2].clip);
  EXPECT_NE(videos[0].clip, videos[1].clip);
  const auto first = media(page);
  EXPECT_EQ(first.size(), 4U);
  const std::string clip = cat(page, "/media/", videos[0].clip, ".mp4");
  VideoReader reader(clip);
  EXPECT_EQ(reader.info().width, 64);
  EXPECT_EQ(reader.info().frames, 20);  // 40 frames at 25 a second: every second one
  EXPECT_NEAR(reader.info().fps, 12.5, 1e-6);

  const auto written = std::filesystem::last_write_time(clip);
  write_file_atomically(cat(page, "/media/", videos[1].clip, ".mp4.part"), "a killed run left this");
  write_file_atomically(page + "/media/notes.txt", "not ours");
  std::vector<PageVideo> fewer = {{one, 0, "", ""}};
  write_clips(fewer, page, {}, 1);
  EXPECT_EQ(std::filesystem::last_write_time(clip), written);
  remove_other_clips(page, fewer);
  const auto left = media(page);
  EXPECT_EQ(left.size(), 3U);
  EXPECT_TRUE(left.contains("notes.txt"));
}

TEST(WriteClips, GivesABadVideoACauseAndOddNamesAClip) {
  const Program program;
  program.make_videos();
  const std::string page = program.path("page");
  prepare_page_folder(page);
  const std::string good = program.path("data/train/drift/0000.mp4");
  std::vector<PageVideo> videos;
  for (const char* name : {"a # & ( ) ! ; [ ] % \" < >.mp4", "blank .mp4 ", "bytes\xff\xfe.mp4", "-dash.mp4"}) {
    std::filesystem::copy_file(good, program.path(name));
    videos.push_back({program.path(name), 0, "", ""});
  }
  write_file_atomically(program.path("bad.mp4"), "not a video");
  videos.push_back({program.path("bad.mp4"), 0, "", ""});
  videos.push_back({program.path("gone.mp4"), 0, "", ""});
  write_clips(videos, page, {}, 2);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(videos[i].clip.size(), 16U) << videos[i].path;
  for (size_t i = 4; i < 6; ++i) {
    EXPECT_EQ(videos[i].clip, "");
    EXPECT_NE(videos[i].problem, "");
    EXPECT_EQ(videos[i].problem.find(program.path("")), std::string::npos) << videos[i].problem;
  }
  EXPECT_EQ(media(page).size(), 8U);
}

TEST(PreparePageFolder, RefusesAFileAndAStrangersPage) {
  const Program program;
  write_file_atomically(program.path("file"), "");
  EXPECT_THROW(prepare_page_folder(program.path("file")), UsageError);
  EXPECT_THROW(prepare_page_folder(program.path("file/below")), DataError);
  EXPECT_THROW(prepare_page_folder(""), UsageError);
  std::filesystem::create_directories(program.path("site"));
  write_file_atomically(program.path("site/index.html"), "<h1>my home page</h1>");
  EXPECT_THROW(prepare_page_folder(program.path("site")), UsageError);
  EXPECT_FALSE(std::filesystem::exists(program.path("site/media")));
  prepare_page_folder(program.path("new/page"));
  EXPECT_TRUE(std::filesystem::is_directory(program.path("new/page/media")));
}

}  // namespace
}  // namespace cstp
