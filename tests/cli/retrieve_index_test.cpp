// `cstp retrieve` through an index, and on stored embeddings, as a user calls it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "cstp/engine/gallery_index.h"
#include "program.h"

namespace cstp {
namespace {

using testing::HasSubstr;

TEST(RetrieveThroughAnIndex, GivesTheExactNumbersAndSaysHowFarToTrustIt) {
  const Program program;
  program.make_videos();
  const Outcome exact = program.run_tiny("retrieve", {"--json"});
  ASSERT_EQ(exact.code, 0) << exact.err;
  const Outcome flat = program.run_tiny("retrieve", {"--json", "--index", "flat"});
  if (!GalleryIndex::available()) {
    EXPECT_EQ(flat.code, 2);
    EXPECT_THAT(flat.err, HasSubstr("install the package libfaiss-dev"));
    return;
  }
  ASSERT_EQ(flat.code, 0) << flat.err;
  EXPECT_EQ(flat.json()["recall"], exact.json()["recall"]);
  EXPECT_TRUE(flat.json()["map"].is_null());
  EXPECT_EQ(flat.json()["index"]["kind"], "flat");
  EXPECT_EQ(flat.json()["index"]["sample"], 6);
  EXPECT_EQ(flat.json()["index"]["recall"]["10"], 1.0);
  EXPECT_FALSE(exact.json().contains("index"));
  // Another number than the exact one: another name, another folder.
  EXPECT_THAT(flat.json()["provenance"]["protocol"].get<std::string>(), HasSubstr("retrieve.index=flat"));
  EXPECT_NE(flat.json()["result"], exact.json()["result"]);

  const std::string file = program.path("kept.index");
  const Outcome built =
      program.run_tiny("retrieve", {"--json", "--index", "ivf", "--lists", "3", "--probes", "3", "--save-index", file});
  ASSERT_EQ(built.code, 0) << built.err;
  EXPECT_EQ(built.json()["index"]["lists"], 3);
  EXPECT_EQ(built.json()["index"]["recall"]["10"], 1.0);  // every list is probed
  const Outcome loaded = program.run_tiny("retrieve", {"--json", "--probes", "3", "--load-index", file});
  ASSERT_EQ(loaded.code, 0) << loaded.err;
  EXPECT_EQ(loaded.out, built.out);
  const Outcome text = program.run_tiny("retrieve", {"--load-index", file, "--probes", "1"});
  EXPECT_THAT(text.out, HasSubstr("index: ivf, 3 lists, 1 probed; it finds "));

  // Refusals: other weights (another seed), another kind.
  const Outcome other = program.run_tiny("retrieve", {"--load-index", file, "--set", "seed=2"});
  EXPECT_EQ(other.code, 3);
  EXPECT_THAT(other.err, HasSubstr("built from something else: its weights is "));
  const Outcome kind = program.run_tiny("retrieve", {"--load-index", file, "--index", "flat"});
  EXPECT_EQ(kind.code, 2);
  EXPECT_THAT(kind.err, HasSubstr("holds one of the kind ivf"));
}

TEST(RetrieveThroughAnIndex, RefusesOptionsThatMakeNoSenseBeforeAnyWork) {
  const Program program;
  const auto refusal = [&](const std::vector<std::string>& options) {
    const Outcome outcome = program.run_tiny("retrieve", options);
    EXPECT_NE(outcome.code, 0);
    return outcome.err;
  };
  EXPECT_THAT(refusal({"--lists", "4"}), HasSubstr("an exact search has no index"));
  EXPECT_THAT(refusal({"--save-index", "x"}), HasSubstr("an exact search has no index"));
  EXPECT_THAT(refusal({"--index", "hnsw"}), HasSubstr("--index"));
  EXPECT_THAT(refusal({"--gallery", "a.npy"}), HasSubstr("go together"));
  EXPECT_THAT(refusal({"--gallery", "a.npy", "--queries", "b.npy"}),
              HasSubstr("--output: a search in stored embeddings"));
  EXPECT_THAT(program.run({"retrieve", "--gallery", "a.npy", "--queries", "b.npy"}).err,
              HasSubstr("a.npy: could not be"));
  if (!GalleryIndex::available()) return;
  EXPECT_THAT(refusal({"--index", "flat", "--probes", "4"}), HasSubstr("belong to --index ivf"));
  EXPECT_THAT(refusal({"--index", "flat", "--html", program.path("page")}), HasSubstr("use --index exact"));
  EXPECT_THAT(refusal({"--load-index", "absent"}), HasSubstr("absent: there is no such index"));
}

TEST(RetrieveFromFiles, GivesTheNumbersOfTheSearchThatDecodes) {
  const Program program;
  program.make_videos();
  const Outcome decoded = program.run_tiny("retrieve", {"--json"});
  ASSERT_EQ(decoded.code, 0) << decoded.err;
  ASSERT_EQ(program.run_tiny("embed", {}, "both").code, 0);
  ASSERT_EQ(program.run_tiny("embed", {"--split", "train"}, "train").code, 0);
  ASSERT_EQ(program.run_tiny("embed", {"--split", "test"}, "test").code, 0);
  const auto embedded = [&](const char* name) { return program.path(std::string(name) + "/embeddings.npy"); };
  for (const auto& [gallery, queries] :
       {std::pair{embedded("both"), embedded("both")}, std::pair{embedded("train"), embedded("test")}}) {
    const Outcome read = program.run({"retrieve", "--json", "--gallery", gallery, "--queries", queries});
    ASSERT_EQ(read.code, 0) << read.err;
    EXPECT_EQ(read.json()["recall"], decoded.json()["recall"]);
    EXPECT_EQ(read.json()["map"], decoded.json()["map"]);
    EXPECT_EQ(read.json()["gallery"], 12);
    EXPECT_EQ(read.json()["queries"], 6);
    EXPECT_EQ(read.json()["from"]["gallery"]["weights_hash"], decoded.json()["provenance"]["weights"]["hash"]);
  }
  const Outcome text = program.run({"retrieve", "--gallery", embedded("train"), "--queries", embedded("test")});
  EXPECT_THAT(text.out, HasSubstr("6 queries, 12 in the gallery, from files"));
  // A half is no pair of gallery and queries, and two networks' embeddings are none either.
  EXPECT_THAT(program.run({"retrieve", "--gallery", embedded("train"), "--queries", embedded("train")}).err,
              HasSubstr("it needs rows of the split train and rows of the split test"));
  ASSERT_EQ(program.run_tiny("embed", {"--split", "test", "--set", "seed=2"}, "other").code, 0);
  const Outcome mixed = program.run({"retrieve", "--gallery", embedded("train"), "--queries", embedded("other")});
  EXPECT_EQ(mixed.code, 3);
  EXPECT_THAT(mixed.err, HasSubstr("embed both with one checkpoint"));
  if (!GalleryIndex::available()) return;
  // An index that was built where the videos were decoded serves where the same embeddings are read.
  const std::string file = program.path("kept.index");
  ASSERT_EQ(program.run_tiny("retrieve", {"--index", "flat", "--save-index", file}).code, 0);
  const Outcome served = program.run(
      {"retrieve", "--json", "--gallery", embedded("train"), "--queries", embedded("test"), "--load-index", file});
  ASSERT_EQ(served.code, 0) << served.err;
  EXPECT_EQ(served.json()["recall"], decoded.json()["recall"]);
}

}  // namespace
}  // namespace cstp
