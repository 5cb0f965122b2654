/// Files that are opened a second time without a look into their stream, by decoders that have seen other files.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "cstp/core/random.h"
#include "cstp/core/text.h"
#include "cstp/video/video_reader.h"
#include "cstp/video/video_writer.h"
#include "data/temporary_folder.h"
#include "frame_index.h"
#include "packet_facts.h"
#include "reference_decoder.h"

namespace cstp::test {
namespace {

constexpr int64_t kFrames = 40;

/// Noise that drifts, so that every frame is predicted from others and no two are alike.
std::string made_video(const TemporaryFolder& folder, const std::string& name, WriterOptions options, uint64_t seed) {
  const std::string path = folder / name;
  Rng rng(seed);
  std::vector<uint8_t> ground(static_cast<size_t>(options.width * options.height * 3));
  for (uint8_t& byte : ground) byte = static_cast<uint8_t>(rng.integer(0, 255));
  VideoWriter writer(path, options);
  for (int64_t k = 0; k < kFrames; ++k) {
    std::rotate(ground.begin(), ground.begin() + 6, ground.end());
    writer.write(ground);
  }
  writer.finish();
  return path;
}

std::vector<uint64_t> hashes_of(const std::string& path, const std::vector<int64_t>& wanted) {
  std::vector<std::vector<uint8_t>> memory;
  memory.reserve(wanted.size());
  std::vector<uint64_t> hashes;
  VideoReader reader(path);
  for (const Frame& f : reader.read(wanted, [&](size_t n) { return memory.emplace_back(n).data(); })) {
    hashes.push_back(hash_of(f));
  }
  return hashes;
}

std::shared_ptr<const FrameIndex> index_of(const std::string& path) {
  Deadline never;
  PacketSource source(path, never);
  return build_index(source, {});
}

TEST(KeptDecoder, GivesEveryFileTheFramesOfAPlainDecodeWhateverCameBefore) {
  const TemporaryFolder folder;
  const WriterOptions small{.width = 64, .height = 48, .gop = 8, .b_frames = 3};
  // The first two have equal headers and so one decoder; the others have headers of their own, more than are kept.
  const std::vector<std::string> paths = {
      made_video(folder, "a.mp4", small, 1),
      made_video(folder, "b.mp4", small, 2),
      made_video(folder, "c.mp4", {.width = 64, .height = 48, .gop = 12, .b_frames = 0}, 3),
      made_video(folder, "d.mkv", small, 4),
      made_video(folder, "e.mp4", {.width = 96, .height = 80, .gop = 40, .b_frames = 2}, 5),
  };
  std::vector<std::vector<ReferenceFrame>> expected;
  for (const std::string& path : paths) {
    ASSERT_NE(index_of(path)->header, nullptr) << path;
    expected.push_back(decode_plainly(path));
    ASSERT_EQ(expected.back().size(), static_cast<size_t>(kFrames));
  }
  EXPECT_EQ(*index_of(paths[0])->header, *index_of(paths[1])->header);
  EXPECT_FALSE(*index_of(paths[0])->header == *index_of(paths[4])->header);
  Rng rng(9);
  for (int round = 0; round < 60; ++round) {
    const auto v = static_cast<size_t>(rng.integer(0, std::ssize(paths) - 1));
    std::vector<int64_t> wanted;
    for (int i = 0; i < 4; ++i) wanted.push_back(rng.integer(0, kFrames - 1));
    std::sort(wanted.begin(), wanted.end());
    const std::vector<uint64_t> found = hashes_of(paths[v], wanted);
    for (size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_EQ(found[i], expected[v][static_cast<size_t>(wanted[i])].hash) << paths[v] << ", frame " << wanted[i];
    }
  }
}

TEST(KeptDecoder, IsNotForStreamsWhoseHeadersDoNotSayAll) {
  const TemporaryFolder folder;
  const std::string mp4 = made_video(folder, "a.mp4", {.width = 64, .height = 48}, 1);
  const std::string raw = folder / "a.h264", avi = folder / "a.avi", annexb = folder / "a.ts";
  for (const std::string& path : {raw, avi, annexb}) {
    const std::string command = cat("ffmpeg -v error -y -i '", mp4, "' -c copy '", path, "'");
    if (std::system(command.c_str()) != 0) GTEST_SKIP() << "the ffmpeg program is not installed";
    EXPECT_EQ(index_of(path)->header, nullptr) << path;
  }
}

TEST(StreamHeader, OfAnotherFileIsNotBelieved) {
  const TemporaryFolder folder;
  const std::string path = made_video(folder, "a.mp4", {.width = 64, .height = 48}, 1);
  const auto other = index_of(made_video(folder, "b.mp4", {.width = 96, .height = 48}, 2))->header;
  Deadline never;
  const PacketSource source(path, never, other);
  EXPECT_EQ(source.parameters().width, 64);
}

/// A packet of avcC framing: units of four bytes of length and their bytes.
struct MadePacket {
  std::vector<uint8_t> bytes;
  void add(uint8_t type, const std::string& payload) {
    const size_t size = payload.size() + 1;
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<uint8_t>(size >> shift));
    bytes.push_back(type);
    bytes.insert(bytes.end(), payload.begin(), payload.end());
  }
  bool plain(const AVCodecParameters& parameters) {
    PacketExaminer examiner(parameters);
    const PacketPtr packet = new_packet();
    packet->data = bytes.data();
    packet->size = static_cast<int>(bytes.size());
    const bool result = examiner.examine(*packet).plain;
    packet->data = nullptr;
    packet->size = 0;
    return result;
  }
};

TEST(PacketFacts, ArePlainUnlessParametersOrAnOldEncoderAreNamed) {
  const TemporaryFolder folder;
  Deadline never;
  const PacketSource source(made_video(folder, "a.mp4", {.width = 64, .height = 48}, 1), never);
  const std::string slice("\x88\x84\x00\x10\xff", 5);
  const auto plain_with = [&](uint8_t type, const std::string& payload) {
    MadePacket packet;
    if (type != 0) packet.add(type, payload);
    packet.add(0x65, slice);
    return packet.plain(source.parameters());
  };
  const std::string uuid(18, 'u');
  EXPECT_TRUE(plain_with(0, ""));
  EXPECT_TRUE(plain_with(6, uuid + "x264 - core 164 r3095"));
  EXPECT_TRUE(plain_with(6, uuid + "another encoder"));
  EXPECT_FALSE(plain_with(6, uuid + "x264 - core 33"));
  EXPECT_FALSE(plain_with(6, uuid + "x264 - core 150 r1"));
  EXPECT_FALSE(plain_with(7, "sequence"));
  EXPECT_FALSE(plain_with(8, "picture"));
}

}  // namespace
}  // namespace cstp::test
