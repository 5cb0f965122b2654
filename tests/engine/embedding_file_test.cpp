#include "cstp/engine/embedding_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <filesystem>
#include <limits>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

using testing::HasSubstr;

class Embeddings : public testing::Test {
 protected:
  Embeddings() : folder_(std::filesystem::temp_directory_path() / cat("cstp_embeddings_", ::getpid())) {
    table_.values = torch::arange(12, torch::kFloat32).reshape({4, 3}) / 7;
    table_.videos = {{"a/x.mp4", 0, "run, fast", "train"},
                     {"a/y.mp4", 1, "walk", "train"},
                     {"b/z.mp4", -1, "", "test"},
                     {"b/w.mp4", 1, "walk", "test"}};
    table_.weights = "runs/a/last.safetensors";
    table_.weights_hash = "0123";
    table_.views = "16 frames, stride 4";
  }
  ~Embeddings() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string refusal(const std::string& name) const {
    try {
      (void)load_embeddings(path(name));
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  }
  /// The saved file with one text in place of another.
  void replace(const std::string& name, const std::string& text, const std::string& by) const {
    save_embeddings(path("e.npy"), table_);
    std::string content = read_text_file(path(name));
    content.replace(content.find(text), text.size(), by);
    write_file_atomically(path(name), content);
  }

  std::filesystem::path folder_;
  EmbeddingTable table_;
};

TEST_F(Embeddings, ComeBackAsTheyWereSaved) {
  save_embeddings(path("deep/folder/e.npy"), table_);
  const EmbeddingTable read = load_embeddings(path("deep/folder/e.npy"));
  EXPECT_TRUE(torch::equal(read.values, table_.values));
  ASSERT_EQ(read.videos.size(), 4U);
  EXPECT_EQ(read.videos[0].name, "run, fast");
  EXPECT_EQ(read.videos[3].path, "b/w.mp4");
  EXPECT_TRUE(torch::equal(read.labels(), torch::tensor({0, 1, -1, 1})));
  EXPECT_EQ(read.weights, table_.weights);
  EXPECT_EQ(read.weights_hash, "0123");
  EXPECT_EQ(read.views, table_.views);
  const EmbeddingTable test = read.of_split("test");
  EXPECT_TRUE(torch::equal(test.values, table_.values.slice(0, 2)));
  EXPECT_TRUE(torch::equal(test.labels(), torch::tensor({-1, 1})));
}

TEST_F(Embeddings, OfAnotherProgramAreRowsWithoutLabels) {
  save_embeddings(path("e.npy"), table_);
  std::filesystem::remove(path("e.csv"));
  std::filesystem::remove(path("e.json"));
  const EmbeddingTable read = load_embeddings(path("e.npy"));
  EXPECT_TRUE(torch::equal(read.labels(), torch::full({4}, -1, torch::kInt64)));
  EXPECT_EQ(read.of_split("train").videos.size(), 4U);
  EXPECT_EQ(read.weights_hash, "");
}

TEST_F(Embeddings, ThatCannotBeUsedAreRefusedWithASentence) {
  EXPECT_THAT(refusal("absent.npy"), HasSubstr("could not be opened"));
  replace("e.npy", "NUMPY", "NIMPY");
  EXPECT_THAT(refusal("e.npy"), HasSubstr("no NumPy file"));
  replace("e.npy", "<f4", "<f8");
  EXPECT_THAT(refusal("e.npy"), HasSubstr("wanted a matrix [rows, channels]"));
  replace("e.npy", "False", "True ");
  EXPECT_THAT(refusal("e.npy"), HasSubstr("C order"));
  replace("e.npy", "(4, 3)", "(5, 3)");
  EXPECT_THAT(refusal("e.npy"), HasSubstr("promises 60 bytes of numbers, and there are 48"));
  replace("e.csv", "3,b/w.mp4,1,walk,test\n", "");
  EXPECT_THAT(refusal("e.npy"), HasSubstr("names 3 rows, and the matrix has 4"));
  replace("e.csv", "1,a/y.mp4,1,", "1,a/y.mp4,one,");
  EXPECT_THAT(refusal("e.npy"), HasSubstr("e.csv:3: wanted row,path,label,class,split"));
  replace("e.csv", "row,path", "path,row");
  EXPECT_THAT(refusal("e.npy"), HasSubstr("e.csv:1: wanted the columns"));
  replace("e.json", "weights_hash", "weights");
  EXPECT_THAT(refusal("e.npy"), HasSubstr("e.json: wanted"));
  table_.values[2][1] = std::numeric_limits<float>::infinity();
  save_embeddings(path("e.npy"), table_);
  EXPECT_THAT(refusal("e.npy"), HasSubstr("row 2 holds a number that is none"));
}

TEST_F(Embeddings, OfUnlikeNetworksOrClassesAreNotCompared) {
  const auto complaint = [&](const EmbeddingTable& queries) -> std::string {
    try {
      check_comparable(table_, "gallery.npy", queries, "queries.npy");
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(complaint(table_), "");
  EmbeddingTable other = table_;
  other.values = torch::ones({4, 5});
  EXPECT_THAT(complaint(other), HasSubstr("have 5 channels, and those of gallery.npy 3"));
  other = table_;
  other.weights_hash = "4567";
  EXPECT_THAT(complaint(other), HasSubstr("embedded with weights 4567"));
  other.weights_hash = "";  // unknown
  EXPECT_EQ(complaint(other), "");
  other.videos[1].name = "crawl";
  EXPECT_THAT(complaint(other), HasSubstr("label 1 is 'crawl', and in gallery.npy 'walk'"));
}

}  // namespace
}  // namespace cstp
