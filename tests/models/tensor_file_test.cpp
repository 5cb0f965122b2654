// Tensor files: what is written comes back, Python reads it, damage is named, and a failed save harms nothing.
#include "cstp/models/tensor_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <torch/torch.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "cstp/core/error.h"
#include "python_peer.h"

namespace cstp {
namespace {

constexpr at::ScalarType kTypes[] = {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong,
                                     at::kInt,    at::kShort, at::kChar, at::kByte,     at::kBool};
constexpr const char* kNames[] = {"float64", "float32", "float16", "bfloat16", "int64",
                                  "int32",   "int16",   "int8",    "uint8",    "bool"};

/// What safetensors_peer.py makes and expects.
TensorFile known_file() {
  TensorFile file;
  for (size_t i = 0; i < std::size(kTypes); ++i) {
    file.tensors.emplace_back(kNames[i], torch::tensor({0, 1, 2, 3, 5, 8}).view({2, 3}).to(kTypes[i]));
  }
  file.tensors.emplace_back("scalar", torch::tensor(2.5F));
  file.tensors.emplace_back("empty", torch::zeros({0, 4}));
  file.text = {{"step", "12"}, {"note", "a \"quoted\" word, \u00e9"}};
  return file;
}

void expect_known(const TensorFile& file) {
  const TensorFile known = known_file();
  EXPECT_EQ(file.text, known.text);
  ASSERT_EQ(file.tensors.size(), known.tensors.size());
  for (const auto& [name, want] : known.tensors) {
    const at::Tensor* have = file.find(name);
    ASSERT_NE(have, nullptr) << name;
    EXPECT_EQ(have->scalar_type(), want.scalar_type()) << name;
    EXPECT_TRUE(torch::equal(*have, want)) << name;
  }
  EXPECT_EQ(file.find("no such tensor"), nullptr);
}

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return (std::ostringstream() << in.rdbuf()).str();
}

void write_bytes(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

/// A file with this header and this many bytes of data.
std::string file_bytes(const std::string& header, size_t data) {
  const uint64_t size = header.size();
  std::string bytes(sizeof size, '\0');
  std::memcpy(bytes.data(), &size, sizeof size);
  return bytes + header + std::string(data, 'x');
}

TEST(TensorFile, ComesBackAsItWasWritten) {
  const TempFolder folder;
  save_tensor_file(folder / "a", known_file());
  expect_known(load_tensor_file(folder / "a"));
}

TEST(TensorFile, StoresStridedTensorsInRowOrder) {
  const TempFolder folder;
  const at::Tensor conv = torch::randn({4, 3, 2, 5, 5}).contiguous(at::MemoryFormat::ChannelsLast3d);
  const at::Tensor column = torch::arange(12).view({3, 4}).t();
  save_tensor_file(folder / "a", {.tensors = {{"conv", conv}, {"column", column}}, .text = {}});
  const TensorFile file = load_tensor_file(folder / "a");
  EXPECT_TRUE(torch::equal(*file.find("conv"), conv));
  EXPECT_TRUE(torch::equal(*file.find("column"), column));
}

TEST(TensorFile, KeepsEveryTensorAligned) {
  const TempFolder folder;
  save_tensor_file(folder / "a", {.tensors = {{"odd", torch::zeros({3}, at::kByte)},
                                              {"wide", torch::zeros({2}, at::kDouble)},
                                              {"half", torch::zeros({1}, at::kHalf)}},
                                  .text = {}});
  uint64_t header = 0;
  const std::string bytes = bytes_of(folder / "a");
  std::memcpy(&header, bytes.data(), sizeof header);
  EXPECT_EQ(header % 8, 0U);
  const TensorFile file = load_tensor_file(folder / "a");  // in the order of their bytes
  EXPECT_EQ(file.tensors[0].first, "wide");
  EXPECT_EQ(file.tensors[1].first, "half");
  EXPECT_EQ(file.tensors[2].first, "odd");
}

TEST(TensorFile, IsReadByPythonsSafetensors) {
  const TempFolder folder;
  save_tensor_file(folder / "a", known_file());
  RUN_PYTHON_OR_SKIP("safetensors_peer.py", "check " + (folder / "a"));
}

TEST(TensorFile, ReadsWhatPythonsSafetensorsWrites) {
  const TempFolder folder;
  RUN_PYTHON_OR_SKIP("safetensors_peer.py", "make " + (folder / "a"));
  expect_known(load_tensor_file(folder / "a"));
}

TEST(TensorFile, CutAnywhereIsRefused) {
  const TempFolder folder;
  save_tensor_file(folder / "a", known_file());
  const std::string whole = bytes_of(folder / "a");
  for (size_t size = 0; size < whole.size(); size += 7) {
    write_bytes(folder / "cut", whole.substr(0, size));
    EXPECT_THROW(load_tensor_file(folder / "cut"), CheckpointError) << size << " of " << whole.size();
  }
  write_bytes(folder / "long", whole + "x");
  EXPECT_THROW(load_tensor_file(folder / "long"), CheckpointError);
}

TEST(TensorFile, NamesWhatIsWrongWithADamagedHeader) {
  struct Case {
    std::string bytes, says;
  };
  const auto entry = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"w":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  const Case cases[] = {
      {std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8) + "{}", "its header claims"},
      {file_bytes("{not json", 0), "no JSON object"},
      {file_bytes("[1,2]", 0), "no JSON object"},
      {file_bytes(R"({"w":3})", 0), "has no dtype"},
      {file_bytes(entry("F99", "[1]", "[0,4]"), 4), "unsupported type F99"},
      {file_bytes(entry("F32", "[-1]", "[0,4]"), 4), "no size"},
      {file_bytes(entry("F32", "[1.5]", "[0,4]"), 4), "no size"},
      {file_bytes(entry("F32", "7", "[0,4]"), 4), "no list"},
      {file_bytes(entry("F32", "[4611686018427387904,4]", "[0,4]"), 4), "larger than memory"},
      {file_bytes(entry("F32", "[0,4611686018427387904,4]", "[0,0]"), 0), "larger than memory"},
      {file_bytes(entry("F32", "[2]", "[0,4]"), 4), "has 4 bytes where its shape and type want 8"},
      {file_bytes(entry("F32", "[1]", "[4,0]"), 4), "no [begin, end]"},
      {file_bytes(entry("F32", "[1]", "[4,8]"), 8), "begins at byte 4"},
      {file_bytes(entry("F32", "[2]", "[0,8]"), 4), "take 8 bytes, and 4 are there"},
      {file_bytes(
           R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
           6),
       "'b' begins at byte 2 of the data, 4 was expected"},
      {file_bytes(R"({"__metadata__":{"step":12}})", 0), "which is no text"},
  };
  const TempFolder folder;
  for (const Case& c : cases) {
    write_bytes(folder / "bad", c.bytes);
    try {
      load_tensor_file(folder / "bad");
      ADD_FAILURE() << "was read: " << c.says;
    } catch (const CheckpointError& error) {
      EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr(c.says), testing::HasSubstr(folder / "bad")));
    }
  }
  EXPECT_THROW(load_tensor_file(folder / "missing"), CheckpointError);
  EXPECT_THROW(load_tensor_file(folder / ""), CheckpointError);
}

TEST(TensorFile, AFullDiskLeavesThePreviousFile) {
  const TempFolder folder;
  save_tensor_file(folder / "a", known_file());
  // A limit on the size of files fails a write half-way, as a full disk does.
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 1 << 16, .rlim_max = old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const TensorFile large{.tensors = {{"w", torch::zeros({1 << 18})}}, .text = {}};
  EXPECT_THROW(save_tensor_file(folder / "a", large), CheckpointError);
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);

  expect_known(load_tensor_file(folder / "a"));
  const std::filesystem::directory_iterator left(std::filesystem::path(folder / "a").parent_path());
  EXPECT_EQ(std::distance(begin(left), end(left)), 1) << "the half-written file was left behind";
}

TEST(TensorFile, SavingWhereNothingCanBeWrittenNamesThePath) {
  const TempFolder folder;
  try {
    save_tensor_file(folder / "no/such/folder", known_file());
    FAIL() << "it was saved";
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("no/such/folder"));
  }
}

TEST(ContentHash, IsOfNamesShapesAndValuesButNotOfMemoryOrder) {
  const at::Tensor values = torch::arange(24, torch::kFloat32).reshape({1, 2, 3, 2, 2});
  const std::string hash = content_hash({{"a", values}});
  EXPECT_EQ(hash.size(), 16U);
  EXPECT_EQ(content_hash({{"a", values.contiguous(at::MemoryFormat::ChannelsLast3d)}}), hash);
  EXPECT_NE(content_hash({{"b", values}}), hash);
  EXPECT_NE(content_hash({{"a", values.reshape({2, 12})}}), hash);
  EXPECT_NE(content_hash({{"a", values + 1e-6F}}), hash);
  EXPECT_NE(content_hash({{"a", values.to(torch::kInt32)}}), hash);
}

}  // namespace
}  // namespace cstp
