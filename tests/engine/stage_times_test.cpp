#include "cstp/engine/stage_times.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

namespace cstp {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// Ten seconds of which two went to waiting, with two busy threads that mostly decode.
StageTimes decoding_bound() {
  StageTimes times;
  times.wait = 2;
  times.forward = 3;
  times.backward = 4;
  times.update = 0.6;
  times.gather = 0.3;
  times.rest = 0.1;
  times.open = 1;
  times.plan = 0.2;
  times.decode = 15;
  times.render = 3;
  times.threads = 2;
  return times;
}

TEST(StageTimes, AddUpAndSubtract) {
  const StageTimes later = decoding_bound();
  EXPECT_DOUBLE_EQ(later.wall(), 10);
  EXPECT_DOUBLE_EQ(later.loading(), 19.2);
  StageTimes earlier;
  earlier.forward = 1;
  earlier.decode = 5;
  const StageTimes between = later.since(earlier);
  EXPECT_DOUBLE_EQ(between.forward, 2);
  EXPECT_DOUBLE_EQ(between.decode, 10);
  EXPECT_DOUBLE_EQ(between.wall(), 9);
  EXPECT_EQ(between.threads, 2);
}

TEST(StageTimes, AreOneLineForPeopleAndAnObjectForMachines) {
  EXPECT_EQ(stage_text(decoding_bound()),
            "step: forward 30 %, backward 40 %, update 6 %, gather 3 %, rest 1 %, waiting for data 20 %; 2 loader "
            "threads busy 96 %: open 5 %, plan 1 %, decode 78 %, render 16 %");
  const auto json = nlohmann::json::parse(decoding_bound().json());
  EXPECT_EQ(json["wait"], 2);
  EXPECT_EQ(json["decode"], 15);
  EXPECT_EQ(json["threads"], 2);
  EXPECT_EQ(json.size(), 11U);
}

TEST(StageAdvice, NamesWhatHoldsTheRunUp) {
  StageTimes times = decoding_bound();
  EXPECT_THAT(
      stage_advice(times, 8),
      StartsWith("the step waits for data 20 % of the time, most of it for decoding: raise loader.workers (2 of 8 "
                 "cores), or "));
  EXPECT_THAT(stage_advice(times, 2), Not(HasSubstr("loader.workers")));
  std::swap(times.decode, times.render);
  EXPECT_THAT(stage_advice(times, 2), HasSubstr("cropping and colours: take a smaller clip.size"));
  std::swap(times.open, times.render);
  EXPECT_THAT(stage_advice(times, 2), HasSubstr("faster disk"));
  times.open = 1;
  EXPECT_THAT(stage_advice(times, 2), HasSubstr("loader.prefetch"));  // the threads have little to do
  times.wait = 0.4;
  EXPECT_EQ(stage_advice(times, 2), "data comes in time: the step is the limit");
}

}  // namespace
}  // namespace cstp
