#include "cstp/engine/gallery_index.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/engine/evaluate.h"

namespace cstp {
namespace {

using testing::HasSubstr;

at::Tensor unit(const at::Tensor& rows) { return torch::nn::functional::normalize(rows); }

class Index : public testing::Test {
 protected:
  void SetUp() override {
    if (!GalleryIndex::available()) GTEST_SKIP() << "this build has no FAISS";
    torch::manual_seed(1);
    const at::Tensor centres = torch::randn({30, 32});
    gallery_ = unit(centres.index_select(0, torch::randint(0, 30, {3000})) + torch::randn({3000, 32}));
    queries_ = unit(centres.index_select(0, torch::randint(0, 30, {200})) + torch::randn({200, 32}));
    folder_ = std::filesystem::temp_directory_path() / cat("cstp_index_", ::getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  std::string path(const char* name) const { return (folder_ / name).string(); }
  std::string refusal(const std::string& file, const IndexIdentity& wanted) const {
    try {
      (void)GalleryIndex::load(file, wanted);
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  }

  at::Tensor gallery_, queries_;
  IndexIdentity identity_ = {{"weights", "w1"}, {"videos", "v1"}, {"embeddings", "e1"}};
  std::filesystem::path folder_;
};

TEST_F(Index, FlatFindsTheExactNeighbours) {
  const GalleryIndex index = GalleryIndex::build(gallery_, {.kind = "flat"}, identity_);
  const Neighbours found = index.search(gallery_, queries_, 20, 1);
  const Neighbours exact = nearest_rows(gallery_, queries_, 20);
  EXPECT_TRUE(torch::equal(found.rows, exact.rows));
  EXPECT_TRUE(torch::equal(found.similarity, exact.similarity));
  EXPECT_EQ(neighbour_recall(found, exact, 20), 1);
  EXPECT_EQ(index.kind(), "flat");
  EXPECT_EQ(index.lists(), 0);
  EXPECT_EQ(index.search(gallery_, queries_, 9999, 1).rows.size(1), 3000);
}

TEST_F(Index, OfListsFindsMoreTheMoreOfThemAreProbedAndAllWithAll) {
  const GalleryIndex index = GalleryIndex::build(gallery_, {.kind = "ivf", .lists = 50}, identity_);
  EXPECT_EQ(index.lists(), 50);
  const Neighbours exact = nearest_rows(gallery_, queries_, 10);
  double before = 0;
  for (const int64_t probes : {1, 2, 8, 50}) {
    const double recall = neighbour_recall(index.search(gallery_, queries_, 10, probes), exact, 10);
    EXPECT_GT(recall, before) << probes;
    EXPECT_LE(recall, 1) << probes;
    before = recall;
  }
  EXPECT_GT(neighbour_recall(index.search(gallery_, queries_, 10, 1), exact, 10), 0.1);
  EXPECT_EQ(before, 1);
}

TEST_F(Index, OfListsIsTheSameForTheSameSeed) {
  const auto rows = [&](int64_t seed) {
    return GalleryIndex::build(gallery_, {.kind = "ivf", .lists = 60, .seed = seed}, identity_)
        .search(gallery_, queries_, 30, 2)
        .rows;
  };
  EXPECT_TRUE(torch::equal(rows(4), rows(4)));
  EXPECT_FALSE(torch::equal(rows(4), rows(5)));
}

TEST_F(Index, ComesBackFromItsFile) {
  for (const std::string kind : {"flat", "ivf"}) {
    const GalleryIndex index = GalleryIndex::build(gallery_, {.kind = kind, .lists = 40}, identity_);
    index.save(path("index"));
    const GalleryIndex loaded = GalleryIndex::load(path("index"), identity_);
    EXPECT_EQ(loaded.kind(), kind);
    EXPECT_EQ(loaded.lists(), index.lists());
    EXPECT_TRUE(
        torch::equal(loaded.search(gallery_, queries_, 10, 3).rows, index.search(gallery_, queries_, 10, 3).rows));
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);  // nothing is left beside it
}

TEST_F(Index, OfAnotherGalleryIsRefusedByTheFieldThatDiffers) {
  GalleryIndex::build(gallery_, {.kind = "flat"}, identity_).save(path("index"));
  EXPECT_EQ(refusal(path("index"), identity_), "");
  for (size_t i = 0; i < identity_.size(); ++i) {
    IndexIdentity other = identity_;
    other[i].second = "another";
    EXPECT_THAT(refusal(path("index"), other),
                HasSubstr(cat("its ", identity_[i].first, " is ", identity_[i].second, ", this gallery's is another")));
  }
  EXPECT_THAT(refusal(path("index"), {{"clips", "10"}}), HasSubstr("its clips is absent"));
}

TEST_F(Index, ThatIsDamagedIsRefusedWithASentence) {
  GalleryIndex::build(gallery_, {.kind = "ivf", .lists = 20}, identity_).save(path("index"));
  const std::string whole = read_text_file(path("index"));
  const auto write = [&](const std::string& bytes) {
    std::ofstream(path("damaged"), std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  };
  EXPECT_THAT(refusal(path("absent"), identity_), HasSubstr("could not be opened"));
  write("something else");
  EXPECT_THAT(refusal(path("damaged"), identity_), HasSubstr("no index of this program"));
  write(whole.substr(0, whole.size() / 2));
  EXPECT_THAT(refusal(path("damaged"), identity_), HasSubstr("damaged or cut short"));
  std::string other = whole;  // the first bytes of FAISS's own part: what kind of index follows
  const size_t body = other.find('\n', other.find('\n') + 1) + 1;
  other.replace(body, 4, "????");
  write(other);
  EXPECT_THAT(refusal(path("damaged"), identity_), HasSubstr("the index is damaged"));
}

TEST_F(Index, ThatCannotBeSavedSaysWhyAndLeavesNothing) {
  const GalleryIndex index = GalleryIndex::build(gallery_, {.kind = "flat"}, identity_);
  try {
    index.save(path("no such folder") + "/index");
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("could not be saved (No such file or directory)"));
  }
}

TEST_F(Index, WithMoreListsThanRowsIsRefused) {
  EXPECT_THROW(GalleryIndex::build(gallery_.slice(0, 0, 5), {.kind = "ivf", .lists = 6}, identity_), UsageError);
  EXPECT_EQ(GalleryIndex::default_lists(5), 1);
  EXPECT_EQ(GalleryIndex::default_lists(1000000), 4000);
}

TEST_F(Index, SharesBlasAndOpenMpWithLibTorch) {
  // One of each in the process: LibTorch's own calls must not land in a slower BLAS, and two runtimes of OpenMP would
  // fight over the cores.
  Dl_info place{};
  void* const multiply = ::dlsym(RTLD_DEFAULT, "sgemm_");
  ASSERT_NE(multiply, nullptr);
  ASSERT_NE(::dladdr(multiply, &place), 0);
  EXPECT_THAT(place.dli_fname, HasSubstr("libtorch_cpu.so"));
  std::set<std::string> runtimes;
  for (const std::string& line : split_lines(read_text_file("/proc/self/maps"))) {
    const size_t name = line.rfind('/');
    if (name == std::string::npos) continue;
    for (const char* runtime : {"libgomp", "libomp", "libiomp"}) {
      if (line.substr(name + 1).starts_with(runtime)) runtimes.insert(line.substr(line.find('/')));
    }
  }
  EXPECT_EQ(runtimes.size(), 1U) << join(runtimes, ", ");
  // And both still answer, in turns and from several threads.
  const at::Tensor before = torch::mm(queries_, gallery_.t());
  const GalleryIndex index = GalleryIndex::build(gallery_, {.kind = "ivf", .lists = 30}, identity_);
  (void)index.search(gallery_, queries_, 5, 4);
  EXPECT_TRUE(torch::equal(torch::mm(queries_, gallery_.t()), before));
}

TEST(GalleryIndexWithoutFaiss, NamesThePackage) {
  if (GalleryIndex::available()) GTEST_SKIP() << "this build has FAISS";
  try {
    GalleryIndex::require();
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("libfaiss-dev"));
  }
}

}  // namespace
}  // namespace cstp
