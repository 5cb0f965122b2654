#include "cstp/data/flow_dump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <fstream>
#include <numeric>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/video/synthetic.h"
#include "cstp/video/video_reader.h"
#include "cstp/video/video_writer.h"
#include "temporary_folder.h"

namespace cstp {
namespace {

using testing::HasSubstr;

TEST(FlowByte, IsThePublishedCode) {
  EXPECT_EQ(flow_byte(-20), 0);
  EXPECT_EQ(flow_byte(20), 255);
  EXPECT_EQ(flow_byte(-300), 0);
  EXPECT_EQ(flow_byte(300), 255);
  EXPECT_EQ(flow_byte(0), 128);
  EXPECT_EQ(flow_byte(-0.08F), 127);
  EXPECT_EQ(flow_byte(1), 134);  // 255 * 21 / 40 = 133.875
  EXPECT_EQ(flow_byte(std::nanf("")), 128);
  EXPECT_EQ(flow_pixels(0), -20);
  EXPECT_NEAR(flow_pixels(127), -0.0784, 1e-4);
  EXPECT_NEAR(flow_pixels(128), 0.0784, 1e-4);
  EXPECT_EQ(flow_pixels(255), 20);
  for (int byte = 0; byte < 256; ++byte) EXPECT_EQ(flow_byte(flow_pixels(static_cast<uint8_t>(byte))), byte);
}

TEST(FlowFileName, FollowsThePathBelowTheRoot) {
  EXPECT_EQ(flow_file_name("dump", "data", "data/train/a b/x.avi"), "dump/train/a b/x.avi.flow");
  EXPECT_EQ(flow_file_name("dump", "data/", "data//train/../x.avi"), "dump/x.avi.flow");
  EXPECT_EQ(flow_file_name("dump", "", "lists/x.avi"), "dump/lists/x.avi.flow");
  EXPECT_EQ(flow_file_name("/dump", "/data", "/data/x.avi"), "/dump/x.avi.flow");
  EXPECT_THAT(flow_file_name("dump", "/data", "/elsewhere/x.avi"), testing::MatchesRegex("dump/outside/.*_x.avi.flow"));
  EXPECT_NE(flow_file_name("dump", "/data", "/a/x.avi"), flow_file_name("dump", "/data", "/b/x.avi"));
  EXPECT_THAT(flow_file_name("dump", "", "../x.avi"), HasSubstr("dump/outside/"));
}

/// Four small synthetic videos in DATA/train and DATA/test, and their flow by DIS.
class FlowDump : public testing::Test {
 protected:
  void SetUp() override {
    SyntheticOptions options;
    options.classes = 2;
    options.train_per_class = options.test_per_class = 1;
    options.frames = 7;
    options.width = 64;
    options.height = 48;
    make_synthetic(data(), options, 1);
    setup_.videos = videos_below(data());
    setup_.root = data();
    setup_.folder = folder_ / "dump";
    setup_.settings.flow = {.method = "dis", .preset = "ultrafast"};
    setup_.settings.short_side = 48;
    setup_.workers = 2;
    ASSERT_EQ(setup_.videos.size(), 4U);
  }
  std::string data() const { return folder_ / "data"; }
  std::string file(size_t i) const { return flow_file_name(setup_.folder, setup_.root, setup_.videos[i]); }
  std::vector<std::string> all_bytes() const {
    std::vector<std::string> files;
    for (size_t i = 0; i < setup_.videos.size(); ++i) files.push_back(read_text_file(file(i)));
    return files;
  }

  TemporaryFolder folder_;
  FlowDumpSetup setup_;
};

TEST_F(FlowDump, HoldsTheFlowOfEveryPairOfNeighbours) {
  int64_t last = 0;
  setup_.progress = [&](int64_t done, int64_t all) {
    EXPECT_EQ(done, last + 1);
    EXPECT_EQ(all, 4);
    last = done;
  };
  const FlowDumpResult result = dump_flow(setup_);
  EXPECT_EQ(result.videos, 4);
  EXPECT_EQ(result.made, 4);
  EXPECT_EQ(result.kept, 0);
  EXPECT_TRUE(result.bad.empty());
  EXPECT_EQ(result.fields, 4 * 6);
  EXPECT_EQ(last, 4);

  const FlowStore store(setup_.folder, setup_.root);
  EXPECT_EQ(store.settings().text(), setup_.settings.text());
  const std::string& video = setup_.videos[2];
  ASSERT_EQ(store.fields(video), 6);
  const FlowFields all = store.read(video, 0, 6);
  EXPECT_EQ(all.width, 64);
  EXPECT_EQ(all.height, 48);
  ASSERT_EQ(all.bytes.size(), 6U * 2 * 64 * 48);

  // Field 4 by hand: frames 4 and 5.
  VideoReader reader(video);
  std::vector<std::vector<uint8_t>> memory;
  memory.reserve(2);
  const std::vector<Frame> frames =
      reader.read(std::vector<int64_t>{4, 5}, [&](size_t bytes) { return memory.emplace_back(bytes).data(); });
  std::vector<uint8_t> from(64 * 48), to(64 * 48);
  grey_frame(frames[0], 64, 48, from);
  grey_frame(frames[1], 64, 48, to);
  std::vector<float> u(64 * 48), v(64 * 48);
  FlowSolver(setup_.settings.flow).solve(from.data(), to.data(), 64, 48, u.data(), v.data());
  const FlowFields one = store.read(video, 4, 1);
  int64_t moved = 0;
  for (size_t i = 0; i < u.size(); ++i) {
    ASSERT_EQ(one.plane(0, 0)[i], flow_byte(u[i]));
    ASSERT_EQ(one.plane(0, 1)[i], flow_byte(v[i]));
    ASSERT_EQ(all.plane(4, 0)[i], flow_byte(u[i]));
    moved += std::abs(u[i]) > 0.5F;
  }
  EXPECT_GT(moved, 0);
}

TEST_F(FlowDump, IsTheSameForAnyNumberOfWorkersAndFinishedFilesAreKept) {
  dump_flow(setup_);
  const std::vector<std::string> first = all_bytes();
  setup_.folder = folder_ / "again";
  setup_.workers = 1;
  dump_flow(setup_);
  EXPECT_EQ(all_bytes(), first);

  std::filesystem::remove(file(1));
  write_file_atomically(file(1) + ".part", std::string(1 << 20, 'x'));  // a killed run left this
  const FlowDumpResult again = dump_flow(setup_);
  EXPECT_EQ(again.made, 1);
  EXPECT_EQ(again.kept, 3);
  EXPECT_EQ(all_bytes(), first);
  EXPECT_FALSE(std::filesystem::exists(file(1) + ".part"));
}

TEST_F(FlowDump, RemakesWhatIsDamagedOrOfAnotherVideo) {
  dump_flow(setup_);
  const std::vector<std::string> first = all_bytes();
  std::ofstream(file(0), std::ios::binary) << first[0].substr(0, first[0].size() / 2);
  std::filesystem::copy_file(file(3), file(2), std::filesystem::copy_options::overwrite_existing);
  const FlowDumpResult again = dump_flow(setup_);
  EXPECT_EQ(again.made, 2);
  EXPECT_EQ(again.kept, 2);
  EXPECT_EQ(all_bytes(), first);
}

TEST_F(FlowDump, ListsVideosThatCannotBeRead) {
  folder_.write("data/broken.avi", "no video");
  setup_.videos = videos_below(data());
  VideoWriter still(folder_ / "data/still.mp4", {.width = 64, .height = 48});
  still.write(std::vector<uint8_t>(64 * 48 * 3, 90));
  still.finish();
  setup_.videos.push_back(folder_ / "data/still.mp4");
  setup_.videos.push_back(setup_.videos[1]);  // a repeat
  const FlowDumpResult result = dump_flow(setup_);
  EXPECT_EQ(result.videos, 6);
  EXPECT_EQ(result.made, 4);
  ASSERT_EQ(result.bad.size(), 2U);
  EXPECT_EQ(result.bad[0].path, folder_ / "data/broken.avi");
  EXPECT_THAT(result.bad[0].cause, HasSubstr("broken.avi"));
  EXPECT_THAT(result.bad[1].cause, HasSubstr("single frame"));
  const FlowStore store(setup_.folder, setup_.root);
  EXPECT_THAT(message_of<DecodeError>([&] { store.fields(result.bad[0].path); }), HasSubstr("broken.avi.flow"));
}

TEST_F(FlowDump, RefusesToMixSettings) {
  dump_flow(setup_);
  FlowDumpSetup other = setup_;
  other.settings.flow.preset = "medium";
  EXPECT_THAT(message_of<DataError>([&] { dump_flow(other); }),
              HasSubstr("(there: dis ultrafast, short side 48, png; wanted: dis medium, short side 48, png)"));
  other = setup_;
  other.folder = data();
  EXPECT_THAT(message_of<DataError>([&] { dump_flow(other); }), HasSubstr("holds something else"));
  EXPECT_THAT(message_of<DataError>([&] { FlowStore(data(), ""); }), HasSubstr("no flow.json"));
  // A file that came from another dump.
  other = setup_;
  other.folder = folder_ / "other";
  other.settings.codec = {.name = "jpeg"};
  dump_flow(other);
  const std::string from = flow_file_name(other.folder, other.root, setup_.videos[0]);
  std::filesystem::copy_file(from, file(0), std::filesystem::copy_options::overwrite_existing);
  const FlowStore store(setup_.folder, setup_.root);
  EXPECT_THAT(message_of<DecodeError>([&] { store.read(setup_.videos[0], 0, 1); }), HasSubstr("other settings"));
}

TEST_F(FlowDump, JpegIsSmallerAndNear) {
  const int64_t exact = dump_flow(setup_).bytes;
  const FlowFields png = FlowStore(setup_.folder, setup_.root).read(setup_.videos[0], 0, 6);
  setup_.folder = folder_ / "jpeg";
  setup_.settings.codec = {.name = "jpeg", .quality = 95};
  EXPECT_LT(dump_flow(setup_).bytes, exact);
  const FlowFields jpeg = FlowStore(setup_.folder, setup_.root).read(setup_.videos[0], 0, 6);
  double apart = 0;
  for (size_t i = 0; i < png.bytes.size(); ++i) apart += std::abs(png.bytes[i] - jpeg.bytes[i]);
  EXPECT_LT(apart / static_cast<double>(png.bytes.size()), 1.5);
}

TEST_F(FlowDump, SaysWhatIsAmissWithAFile) {
  dump_flow(setup_);
  const FlowStore store(setup_.folder, setup_.root);
  const std::string& video = setup_.videos[0];
  EXPECT_THAT(message_of<DecodeError>([&] { store.read(video, 4, 3); }), HasSubstr("has 6 fields, and 4 to 6 were"));
  std::string bytes = read_text_file(file(0));
  std::string damaged = bytes;
  std::fill(damaged.end() - 400, damaged.end(), 'x');  // the last plane
  std::ofstream(file(0), std::ios::binary) << damaged;
  EXPECT_NO_THROW(store.read(video, 0, 1));
  EXPECT_THAT(message_of<DecodeError>([&] { store.read(video, 5, 1); }), HasSubstr("field 5 is damaged"));
  std::ofstream(file(0), std::ios::binary) << bytes.substr(0, bytes.size() - 1);
  EXPECT_THAT(message_of<DecodeError>([&] { store.read(video, 0, 1); }), HasSubstr("damaged"));
  std::ofstream(file(0), std::ios::binary) << "something else, of more than forty bytes, in its place";
  EXPECT_THAT(message_of<DecodeError>([&] { store.read(video, 0, 1); }), HasSubstr("is no flow file"));
}

TEST_F(FlowDump, StopsBetweenFieldsAndLeavesNoHalfFile) {
  std::atomic<int> asked = 0;
  setup_.workers = 1;
  setup_.stop = [&] { return ++asked > 11; };  // in the second video
  const FlowDumpResult result = dump_flow(setup_);
  EXPECT_TRUE(result.stopped);
  EXPECT_EQ(result.made, 1);
  EXPECT_TRUE(std::filesystem::exists(file(0)));
  EXPECT_FALSE(std::filesystem::exists(file(1)));
  EXPECT_FALSE(std::filesystem::exists(file(1) + ".part"));
}

TEST_F(FlowDump, StretchesOfALongVideoJoinWithoutASeam) {
  dump_flow(setup_);
  const std::vector<std::string> whole = all_bytes();
  setup_.folder = folder_ / "stretches";
  setup_.stretch_bytes = 3 * 64 * 48 * 3 / 2 + 10;  // 7 frames: 3, 3 and 1
  dump_flow(setup_);
  EXPECT_EQ(all_bytes(), whole);
}

}  // namespace
}  // namespace cstp
