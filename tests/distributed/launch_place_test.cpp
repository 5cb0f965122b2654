#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "cstp/core/error.h"
#include "cstp/distributed/collectives.h"
#include "cstp/distributed/ranks.h"

namespace cstp {
namespace {

using testing::HasSubstr;

std::optional<LaunchPlace> place_in(const std::map<std::string, std::string>& variables) {
  return launch_place([&variables](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

std::map<std::string, std::string> torchrun() {
  return {{"RANK", "3"},
          {"WORLD_SIZE", "4"},
          {"LOCAL_RANK", "1"},
          {"LOCAL_WORLD_SIZE", "2"},
          {"MASTER_ADDR", "head"},
          {"MASTER_PORT", "1234"},
          {"TORCHELASTIC_RESTART_COUNT", "2"},
          {"TORCHELASTIC_USE_AGENT_STORE", "True"}};
}

std::map<std::string, std::string> slurm() {
  return {{"SLURM_JOB_ID", "70007"},
          {"SLURM_STEP_ID", "0"},
          {"SLURM_PROCID", "5"},
          {"SLURM_LOCALID", "1"},
          {"SLURM_STEP_NUM_TASKS", "8"},
          {"SLURM_STEP_TASKS_PER_NODE", "4(x2)"},
          {"SLURM_STEP_NODELIST", "node[007-008]"}};
}

TEST(LaunchPlace, IsNoneWithoutALauncher) { EXPECT_FALSE(place_in({}).has_value()); }

TEST(LaunchPlace, ReadsTorchrunsVariables) {
  const auto place = place_in(torchrun());
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->rank, 3);
  EXPECT_EQ(place->size, 4);
  EXPECT_EQ(place->local_rank, 1);
  EXPECT_EQ(place->local_size, 2);
  EXPECT_EQ(place->host, "head");
  EXPECT_EQ(place->port, 1234);
  EXPECT_TRUE(place->hosted);
  EXPECT_EQ(place->attempt, "2");
  EXPECT_EQ(place->launcher, "torchrun");
}

TEST(LaunchPlace, ReadsOpenMpisVariablesOnOneMachineWithoutAnAddress) {
  const auto place = place_in({{"OMPI_COMM_WORLD_RANK", "1"},
                               {"OMPI_COMM_WORLD_SIZE", "2"},
                               {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                               {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}});
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->rank, 1);
  EXPECT_EQ(place->local_size, 2);
  EXPECT_EQ(place->host, "127.0.0.1");
  EXPECT_EQ(place->launcher, "MPI");
}

TEST(LaunchPlace, WantsAnAddressForMpiOnSeveralMachines) {
  std::map<std::string, std::string> variables = {
      {"PMI_RANK", "1"}, {"PMI_SIZE", "4"}, {"MPI_LOCALRANKID", "1"}, {"MPI_LOCALNRANKS", "2"}};
  try {
    place_in(variables);
    FAIL() << "no error";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("MASTER_ADDR"));
  }
  variables["MASTER_ADDR"] = "head";
  EXPECT_EQ(place_in(variables)->host, "head");
}

TEST(LaunchPlace, DerivesSlurmsMeetingPointFromNodesAndJob) {
  const auto place = place_in(slurm());
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->rank, 5);
  EXPECT_EQ(place->size, 8);
  EXPECT_EQ(place->local_rank, 1);
  EXPECT_EQ(place->local_size, 4);
  EXPECT_EQ(place->host, "node007");
  EXPECT_EQ(place->port, 20000 + 70007 % 20000);
}

TEST(LaunchPlace, TakesTorchrunBeforeMpiBeforeSlurm) {
  auto all = slurm();
  all.merge(std::map<std::string, std::string>{{"OMPI_COMM_WORLD_RANK", "0"},
                                               {"OMPI_COMM_WORLD_SIZE", "2"},
                                               {"OMPI_COMM_WORLD_LOCAL_RANK", "0"},
                                               {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}});
  EXPECT_EQ(place_in(all)->launcher, "MPI");
  all.merge(torchrun());
  EXPECT_EQ(place_in(all)->launcher, "torchrun");
}

TEST(LaunchPlace, IsNoneInABatchScriptThatSrunDidNotStart) {
  auto variables = slurm();
  variables.erase("SLURM_STEP_ID");
  EXPECT_FALSE(place_in(variables).has_value());
}

TEST(LaunchPlace, RefusesVariablesThatContradictEachOther) {
  auto variables = torchrun();
  variables["RANK"] = "4";
  EXPECT_THROW(place_in(variables), UsageError);
  variables["RANK"] = "two";
  EXPECT_THROW(place_in(variables), UsageError);
}

TEST(FirstHost, UnfoldsSlurmsLists) {
  EXPECT_EQ(first_host("node[003-005,9],other"), "node003");
  EXPECT_EQ(first_host("node[12,14]"), "node12");
  EXPECT_EQ(first_host("alpha,beta[1-2]"), "alpha");
  EXPECT_EQ(first_host("alone"), "alone");
}

TEST(PartOfRank, CoversEverythingOnceInRankOrder) {
  for (const int64_t count : {0, 1, 3, 10}) {
    int64_t next = 0;
    for (int64_t rank = 0; rank < 4; ++rank) {
      World world;
      world.rank = rank;
      world.size = 4;
      const auto [first, last] = part_of_rank(count, world);
      EXPECT_EQ(first, next);
      EXPECT_LE(last - first, count / 4 + 1);
      next = last;
    }
    EXPECT_EQ(next, count);
  }
}

}  // namespace
}  // namespace cstp
