// A rank that is killed, or that fails, ends the run on all others, by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

#include "cstp/distributed/sync_norm.h"
#include "forked_ranks.h"

namespace cstp {
namespace {

using testing::AllOf;
using testing::HasSubstr;

JoinOptions impatient() {
  JoinOptions options;
  options.silence = std::chrono::seconds(4);
  options.grace = std::chrono::seconds(3);
  return options;
}

void exchange_for_ever(const World& world) {
  for (;;) {
    at::Tensor value = torch::ones({1});
    sum_over_ranks(value, world);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

class KilledRank : public testing::TestWithParam<int64_t> {};

TEST_P(KilledRank, EndsTheOthersWithItsName) {
  SKIP_WITHOUT_GLOO();
  const int64_t victim = GetParam();
  const auto ends = fork_ranks(
      3,
      [victim](const World& world) {
        meet(world);
        if (world.rank == victim) ::raise(SIGKILL);
        exchange_for_ever(world);
      },
      impatient());
  for (int64_t rank = 0; rank < 3; ++rank) {
    const RankEnd& end = ends[static_cast<size_t>(rank)];
    if (rank == victim) {
      EXPECT_EQ(end.code, 128 + SIGKILL);
      continue;
    }
    EXPECT_EQ(end.code, static_cast<int>(ExitCode::device)) << end.message;
    // A rank whose own exchange broke says it by what it throws, one that was stuck by its watch.
    EXPECT_THAT(end.message + end.log,
                AllOf(HasSubstr(cat("rank ", victim, " of 3 is lost")), HasSubstr("last checkpoint")));
  }
}
INSTANTIATE_TEST_SUITE_P(First, KilledRank, testing::Values(0, 1));

TEST(FailedRank, TellsTheOthersWhy) {
  SKIP_WITHOUT_GLOO();
  const auto ends = fork_ranks(2, [](const World& world) {
    meet(world);
    if (world.rank == 1) throw DataError("b.avi: cannot be read");
    exchange_for_ever(world);
  });
  EXPECT_EQ(ends[1].code, static_cast<int>(ExitCode::data));
  EXPECT_EQ(ends[1].message, "b.avi: cannot be read");
  EXPECT_EQ(ends[0].code, static_cast<int>(ExitCode::device));
  EXPECT_THAT(ends[0].message, HasSubstr("rank 1 of 2 ended with an error: b.avi: cannot be read"));
}

TEST(SilentRank, EndsARankThatIsStuckInAnExchange) {
  SKIP_WITHOUT_GLOO();
  // Stopped, not killed: its connections stay open, so the other's exchange would wait for half an hour.
  const auto ends = fork_ranks(
      2,
      [](const World& world) {
        meet(world);
        if (world.rank == 1) {
          const pid_t stopped = ::getpid();
          if (::fork() == 0) {  // the test waits for both ranks, so somebody has to end this one
            std::this_thread::sleep_for(std::chrono::seconds(14));
            ::kill(stopped, SIGKILL);
            ::_exit(0);
          }
          ::raise(SIGSTOP);
        }
        at::Tensor value = torch::ones({1});
        sum_over_ranks(value, world);
      },
      impatient());
  EXPECT_EQ(ends[0].code, static_cast<int>(ExitCode::device));
  EXPECT_EQ(ends[0].message, "") << "ended by its exchange, not by its watch";
  EXPECT_THAT(ends[0].log, HasSubstr("rank 1 of 2 is lost"));
  EXPECT_EQ(ends[1].code, 128 + SIGKILL);
}

TEST(MissingRank, IsNamedByRankZero) {
  SKIP_WITHOUT_GLOO();
  const pid_t child = ::fork();
  if (child == 0) {
    LaunchPlace place;
    place.size = place.local_size = 2;
    place.port = free_port();
    JoinOptions options;
    options.join = std::chrono::seconds(2);
    try {
      join_world(place, options);
    } catch (const DeviceError& error) {
      ::_exit(std::string(error.what()).starts_with("rank 1 of 2 did not come within 2 s") ? 0 : 1);
    }
    ::_exit(2);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace cstp
