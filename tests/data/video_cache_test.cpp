/// Decoded videos that stay in memory: the loader's samples are the same, and no video is opened twice.
#include "video_cache.h"

#include <gtest/gtest.h>

#include "loader_run.h"

namespace cstp {
namespace {

TEST(VideoCache, GivesTheSameSamplesAndOpensEveryGoodVideoOnce) {
  LoaderRun plain(mixed_videos(12), 96, 4, 1), cached(mixed_videos(12), 96, 4, 3);
  cached.setup.options.cache_mb = 1;
  expect_equal(plain.all(), cached.all());
  EXPECT_EQ(plain.bad.count(), cached.bad.count());
  LoaderRun good(good_videos(8), 80, 4, 1);
  good.setup.options.cache_mb = 1;
  good.all();
  EXPECT_EQ(good.videos.opened, 8);
}

TEST(VideoCache, KeepsWhatFitsAndNeverMore) {
  FakeVideos videos;
  constexpr int64_t kVideo = 100 * 8 * 4 * 3 / 2;
  VideoCache cache(20 * kVideo, [&](const std::string& path, const ReaderOptions& o) { return videos.open(path, o); });
  const auto read = [&](const std::string& path, std::vector<int64_t> numbers) {
    std::vector<std::vector<uint8_t>> memory;
    memory.reserve(numbers.size());
    std::vector<int64_t> seen;
    OpenVideo video = cache.open(path, {});
    const std::vector<Frame> frames = video.read(numbers, [&](size_t n) { return memory.emplace_back(n).data(); });
    for (size_t i = 0; i < numbers.size(); ++i) EXPECT_EQ(frames[i].y[0], pixel(path, numbers[i]));
    return memory.size();
  };
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 30; ++i) {
      const size_t blocks = read(cat("good", i), {3, 40, 40, 99});
      EXPECT_EQ(blocks, i < 20 ? 3U : 4U) << i;  // what is kept shares the planes of repeats
    }
  }
  EXPECT_EQ(videos.opened, 30 + 10);  // twenty fit
  VideoCache small(15 * kVideo, [&](const std::string& path, const ReaderOptions& o) { return videos.open(path, o); });
  small.open("good", {});
  small.open("good", {});
  EXPECT_EQ(videos.opened, 42);  // more than a sixteenth of the room
}

TEST(VideoCache, LeavesAVideoThatDoesNotDecodeWholeToTheReader) {
  FakeVideos videos;
  VideoCache cache(1 << 20, [&](const std::string& path, const ReaderOptions& o) { return videos.open(path, o); });
  std::vector<uint8_t> memory(kBytes);
  for (int i = 0; i < 2; ++i) {
    OpenVideo video = cache.open("torn", {});
    EXPECT_EQ(video.read(std::vector<int64_t>{7}, [&](size_t) { return memory.data(); })[0].y[0], pixel("torn", 7));
    EXPECT_THROW(video.read(std::vector<int64_t>{51}, [&](size_t) { return memory.data(); }), DecodeError);
  }
}

}  // namespace
}  // namespace cstp
