/// The loader on videos that exist only here: a path says how many frames there are and what is wrong with them.
#include "cstp/data/clip_loader.h"

#include <gmock/gmock.h>

#include <optional>
#include <set>
#include <thread>

#include "cstp/core/config.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/video/video_writer.h"
#include "loader_run.h"
#include "temporary_folder.h"

namespace cstp {
namespace {

using ::testing::HasSubstr;

TEST(ClipLoader, DeliversTheFramesOfThePlanInOrder) {
  LoaderRun run(good_videos(10), 30, 5, 3);
  const std::vector<Sample> samples = run.all();
  ASSERT_EQ(samples.size(), 30U);
  for (size_t n = 0; n < samples.size(); ++n) {
    const Sample& sample = samples[n];
    const StreamPlace place = run.order.at(static_cast<int64_t>(n));
    EXPECT_EQ(sample.record, place.record);
    EXPECT_EQ(sample.position, place.position);
    EXPECT_EQ(sample.label, run.dataset.videos[static_cast<size_t>(sample.record)].label);
    EXPECT_EQ(sample.frame_numbers, frames_wanted(sample.plan));
    EXPECT_EQ(sample.memory.size(), sample.frames.size());
    EXPECT_EQ(sample.video.frames, 100);
    for (const ViewPlan& view : sample.plan.views) {
      for (const int64_t number : view.frames) {
        EXPECT_EQ(sample.frame(number).y[0],
                  pixel(run.dataset.videos[static_cast<size_t>(sample.record)].path, number));
      }
    }
    EXPECT_THROW(sample.frame(sample.frame_numbers.back() + 1), std::logic_error);
  }
}

TEST(ClipLoader, GivesTheSameSamplesWhateverTheNumberOfWorkers) {
  for (const auto& paths : {good_videos(23), mixed_videos(23)}) {
    LoaderRun one(paths, 200, 4, 1), four(paths, 200, 4, 4);
    expect_equal(one.all(), four.all());
    EXPECT_EQ(one.bad.count(), four.bad.count());
  }
}

TEST(ClipLoader, GoesOnFromTheMiddleAsIfItHadNeverStopped) {
  LoaderRun whole(mixed_videos(23), 120, 4, 2), rest(mixed_videos(23), 120, 4, 3);
  std::vector<Sample> expected = whole.all();
  expected.erase(expected.begin(), expected.begin() + 52);
  rest.setup.first = 52;
  expect_equal(rest.all(), expected);
}

TEST(ClipLoader, EndsWithASmallerBatchAndThenNone) {
  LoaderRun run(good_videos(10), 7, 5, 2);
  ClipLoader loader(run.setup);
  EXPECT_EQ(loader.next().size(), 5U);
  EXPECT_EQ(loader.next().size(), 2U);
  EXPECT_TRUE(loader.next().empty());
  EXPECT_TRUE(loader.next().empty());
  LoaderRun nothing(good_videos(1), 0, 5, 2);
  EXPECT_TRUE(ClipLoader(nothing.setup).next().empty());
}

TEST(ClipLoader, ReplacesBadVideosAndCountsThem) {
  LoaderRun run(mixed_videos(24), 240, 4, 4);
  int64_t replaced = 0;
  for (const Sample& sample : run.all()) {
    EXPECT_TRUE(sample.error.empty());
    EXPECT_FALSE(sample.frames.empty());
    replaced += sample.attempt > 0;
  }
  EXPECT_GT(replaced, 20);
  EXPECT_LE(run.bad.count(), 6);
  EXPECT_GE(run.bad.count(), 4);
}

TEST(ClipLoader, ReplaysTheJournalEvenWhereTheVideoWouldNowBeGood) {
  TemporaryFolder folder;
  LoaderRun first(mixed_videos(24), 96, 4, 4, folder / "bad.jsonl");
  const std::vector<Sample> expected = first.all();
  LoaderRun again(mixed_videos(24), 96, 4, 1, folder / "bad.jsonl");
  again.setup.open = [&](const std::string& path, const ReaderOptions& options) {
    // A deadline that passed once need not pass again: what was bad is healthy now.
    EXPECT_FALSE(path.starts_with("broken") || path.starts_with("short")) << path << " was tried again";
    OpenVideo video = again.videos.open(path.starts_with("torn") ? "good" + path : path, options);
    return video;
  };
  std::vector<Sample> replayed = again.all();
  ASSERT_EQ(replayed.size(), expected.size());
  for (size_t i = 0; i < replayed.size(); ++i) {
    EXPECT_EQ(replayed[i].record, expected[i].record);
    EXPECT_EQ(replayed[i].attempt, expected[i].attempt);
    EXPECT_EQ(replayed[i].plan, expected[i].plan);
  }
}

TEST(ClipLoader, TakesWhatTheGpuDecodedAndAsksTheCpuForTheRest) {
  LoaderRun run(good_videos(10), 40, 4, 3);
  const std::vector<Sample> expected = run.all();
  LoaderRun both(good_videos(10), 40, 4, 3);
  both.setup.open = [&](const std::string& path, const ReaderOptions& options) {
    OpenVideo video = both.videos.open(path, options);
    video.read_on_gpu = [path, read = video.read](std::span<const int64_t> frames) -> std::optional<GpuFrames> {
      if (fingerprint(path) % 2 == 0) return std::nullopt;
      GpuFrames result;
      result.frames = read(frames, [&result](size_t bytes) {
        result.memory.push_back(std::make_shared<uint8_t[]>(bytes));
        return result.memory.back().get();
      });
      return result;
    };
    return video;
  };
  const std::vector<Sample> found = both.all();
  ASSERT_EQ(found.size(), expected.size());
  std::set<bool> sides;
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].on_gpu, fingerprint(found[i].path) % 2 != 0);
    sides.insert(found[i].on_gpu);
    EXPECT_EQ(found[i].memory.size(), found[i].frames.size());
    ASSERT_EQ(found[i].frames.size(), expected[i].frames.size());
    for (size_t f = 0; f < found[i].frames.size(); ++f) EXPECT_EQ(found[i].frames[f].y[0], expected[i].frames[f].y[0]);
  }
  EXPECT_EQ(sides.size(), 2U);  // else the paths want other names
}

TEST(ClipLoader, LeavesRawBytesToTheCpu) {
  LoaderRun run(good_videos(3), 6, 2, 1);
  run.setup.plan = [](const VideoInfo& info, Rng& rng) {
    SamplePlan plan = random_clip(info, rng);
    plan.raw_bytes = true;
    return plan;
  };
  run.setup.open = [&](const std::string& path, const ReaderOptions& options) {
    OpenVideo video = run.videos.open(path, options);
    video.read_on_gpu = [](std::span<const int64_t>) -> std::optional<GpuFrames> {
      ADD_FAILURE() << "the GPU was asked";
      return std::nullopt;
    };
    return video;
  };
  for (const Sample& sample : run.all()) EXPECT_FALSE(sample.on_gpu);
}

TEST(ClipLoader, StopsWhereTooManyVideosAreBad) {
  std::vector<std::string> paths = good_videos(100);
  for (size_t i = 0; i < 10; ++i) paths[i * 7] = cat("broken", i);
  LoaderRun run(paths, 1000, 4, 4, "", 0.05);
  EXPECT_THAT(message_of<DataError>([&] { run.all(); }),
              HasSubstr("of 100 videos are bad, and data.max_bad = 0.05 allows 5"));
  EXPECT_GE(run.bad.count(), 6);  // workers beside the one that counted the sixth may have found more
}

TEST(ClipLoader, GivesUpWhereNothingCanBeDecoded) {
  LoaderRun run(good_videos(50, "broken"), 8, 4, 1, "", 1.0);
  EXPECT_THAT(message_of<DataError>([&] { run.all(); }), HasSubstr("20 videos in a row"));
}

TEST(ClipLoader, KeepsBadVideosInEvaluationAndNamesThem) {
  LoaderRun run({"good0", "broken1", "short2", "good3"}, 4, 4, 2);
  std::atomic<int> finished{0};
  run.setup.place = [](int64_t n) { return StreamPlace{.epoch = 0, .position = n, .record = n}; };
  run.setup.replacement = nullptr;
  run.setup.bad = nullptr;
  run.setup.finish = [&finished](Sample& sample) {
    ++finished;
    sample.rendered = {1.0F};
  };
  const std::vector<Sample> samples = run.all();
  ASSERT_EQ(samples.size(), 4U);
  EXPECT_EQ(finished, 2);
  EXPECT_EQ(samples[0].error, "");
  EXPECT_EQ(samples[1].error, "broken1: no video stream");  // the path once, though the reader names it too
  EXPECT_EQ(samples[2].error, "short2: the video has 3 frames");
  EXPECT_TRUE(samples[2].frames.empty() && samples[2].plan.views.empty() && samples[2].rendered.empty());
  EXPECT_EQ(samples[2].record, 2);
  EXPECT_EQ(samples[3].rendered.size(), 1U);
}

TEST(ClipLoader, RethrowsOtherErrorsAtTheirPosition) {
  LoaderRun run({"good0", "good1", "slow2", "bug3", "good4", "good5"}, 6, 2, 4);
  run.setup.place = [](int64_t n) { return StreamPlace{.epoch = 0, .position = n, .record = n}; };
  ClipLoader loader(run.setup);
  EXPECT_EQ(loader.next().size(), 2U);
  EXPECT_THAT(message_of<std::logic_error>([&] { loader.next(); }), HasSubstr("bug3"));
  EXPECT_THROW(loader.next(), std::logic_error);  // and it stays so
}

TEST(ClipLoader, RethrowsWhatTheFinishHookThrowsWithoutBlamingTheVideo) {
  LoaderRun run(good_videos(4), 4, 4, 2);
  run.setup.finish = [](Sample&) { throw DataError("the hook failed"); };
  EXPECT_THAT(message_of<DataError>([&] { run.all(); }), HasSubstr("the hook failed"));
  EXPECT_EQ(run.bad.count(), 0);
}

TEST(ClipLoader, ReplacesAVideoForWhichTheFinishHookFindsNothing) {  // its stored flow, say, is missing
  LoaderRun run({"good0", "unlucky", "good1", "good2"}, 40, 4, 2);
  run.setup.finish = [](Sample& sample) {
    if (sample.path == "unlucky") throw DecodeError("unlucky: it has no stored flow");
  };
  for (const Sample& sample : run.all()) {
    EXPECT_NE(sample.record, 1);
    EXPECT_EQ(sample.path, run.dataset.videos[static_cast<size_t>(sample.record)].path);
  }
  EXPECT_EQ(run.bad.count(), 1);
}

TEST(ClipLoader, CallsAPlanOutsideTheVideoABug) {
  LoaderRun run(good_videos(4), 4, 4, 2);
  run.setup.plan = [](const VideoInfo& info, Rng&) {
    SamplePlan plan;
    plan.views.resize(1);
    plan.views[0].frames = {info.frames};
    return plan;
  };
  EXPECT_THROW(run.all(), std::logic_error);
}

TEST(ClipLoader, DecodesNoFurtherAheadThanItMay) {
  LoaderRun run(good_videos(10), 1000, 4, 8);
  run.setup.options.prefetch = 3;
  ClipLoader loader(run.setup);
  const auto settle = [&](int64_t wanted) {  // waits for the samples it may decode, then a little for one too many
    while (loader.timing().samples < wanted) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    return run.videos.opened.load();
  };
  EXPECT_EQ(settle(12), 12);
  loader.next();
  EXPECT_EQ(settle(16), 16);
}

TEST(ClipLoader, StopsSoonWhenItIsNoLongerWanted) {
  LoaderRun run(good_videos(10, "slow"), 100000, 64, 4);
  const auto start = std::chrono::steady_clock::now();
  {
    ClipLoader loader(run.setup);
    loader.next();
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_LT(run.videos.opened, 64 * 4);
}

TEST(LoaderOptions, AreReadStrictly) {
  const auto options =
      ConfigNode::parse("{workers: 3, prefetch: 5, decode_deadline: 1.5}", "here").read<LoaderOptions>("loader");
  EXPECT_EQ(options.workers, 3);
  EXPECT_EQ(options.prefetch, 5);
  EXPECT_EQ(options.decode_deadline, 1.5);
  EXPECT_THROW(ConfigNode::parse("{prefetch: 0}", "here").read<LoaderOptions>("loader"), ConfigError);
}

/// Real files, made and read by the video layer.
TEST(ClipLoader, ReadsFilesThatTheWriterMade) {
  TemporaryFolder folder;
  constexpr int64_t kWidth = 64, kHeight = 48;
  std::vector<std::string> paths;
  for (int v = 0; v < 3; ++v) {
    paths.push_back(folder / cat("v", v, ".mp4"));
    VideoWriter writer(paths.back(), {.width = kWidth, .height = kHeight});
    for (int t = 0; t < 30; ++t) {  // grey level tells video and frame
      writer.write(
          std::vector<uint8_t>(static_cast<size_t>(kWidth * kHeight * 3), static_cast<uint8_t>(20 + 60 * v + 2 * t)));
    }
    writer.finish();
  }
  paths.push_back(folder.write("empty.mp4"));
  paths.push_back(folder / "absent.mp4");
  LoaderRun one(paths, 30, 3, 1), four(paths, 30, 3, 4);
  one.setup.open = four.setup.open = nullptr;
  const std::vector<Sample> samples = one.all();
  expect_equal(samples, four.all());
  EXPECT_EQ(one.bad.count(), 2);
  LoaderRun cached(paths, 30, 3, 2);
  cached.setup.open = nullptr;
  cached.setup.options.cache_mb = 64;
  expect_equal(samples, cached.all());
  for (const Sample& sample : samples) {
    ASSERT_LT(sample.record, 3);
    for (size_t i = 0; i < sample.frames.size(); ++i) {
      const double grey =
          20.0 + 60.0 * static_cast<double>(sample.record) + 2.0 * static_cast<double>(sample.frame_numbers[i]);
      EXPECT_NEAR(sample.frames[i].y[0], 16 + grey * 219 / 255, 2.5);
    }
  }
}

bool becomes_ready(const ClipLoader& loader) {
  for (int i = 0; i < 2000; ++i) {
    if (loader.ready()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

TEST(ClipLoader, SaysWhenABatchIsThere) {
  LoaderRun run(good_videos(10), 7, 3, 2);
  ClipLoader loader(run.setup);
  for (const size_t samples : {3U, 3U, 1U}) {
    EXPECT_TRUE(becomes_ready(loader));
    EXPECT_EQ(loader.next().size(), samples);
  }
  EXPECT_FALSE(loader.ready());
  EXPECT_TRUE(loader.next().empty());
}

TEST(ClipLoader, IsNotReadyWhereItWouldThrow) {
  LoaderRun run({"good0", "bug1"}, 4, 2, 1);
  ClipLoader loader(run.setup);
  EXPECT_THROW(loader.next(), std::logic_error);  // all of the batch was made by then
  EXPECT_FALSE(loader.ready());
}

TEST(LoaderOptions, NameWhereViewsAreRendered) {
  EXPECT_EQ(ConfigNode::parse("{}", "test").read<LoaderOptions>("loader").render, "auto");
  EXPECT_EQ(ConfigNode::parse("{render: cpu}", "test").read<LoaderOptions>("loader").render, "cpu");
  EXPECT_THROW(ConfigNode::parse("{render: gpu}", "test").read<LoaderOptions>("loader"), ConfigError);
}

}  // namespace
}  // namespace cstp
