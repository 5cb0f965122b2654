#include "cstp/engine/stage_times.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "cstp/core/text.h"

namespace cstp {
namespace {

using Stage = std::pair<const char*, double StageTimes::*>;
constexpr std::array<Stage, 6> kSteps = {{{"forward", &StageTimes::forward},
                                          {"backward", &StageTimes::backward},
                                          {"update", &StageTimes::update},
                                          {"gather", &StageTimes::gather},
                                          {"rest", &StageTimes::rest},
                                          {"wait", &StageTimes::wait}}};
constexpr std::array<Stage, 4> kLoading = {{{"open", &StageTimes::open},
                                            {"plan", &StageTimes::plan},
                                            {"decode", &StageTimes::decode},
                                            {"render", &StageTimes::render}}};

std::string share_text(double part, double whole) {
  return cat(std::llround(100 * part / std::max(whole, 1e-9)), " %");
}

}  // namespace

StageTimes StageTimes::since(const StageTimes& earlier) const {
  StageTimes difference = *this;
  for (const auto& [name, stage] : kSteps) difference.*stage -= earlier.*stage;
  for (const auto& [name, stage] : kLoading) difference.*stage -= earlier.*stage;
  return difference;
}

std::string StageTimes::json() const {
  std::string text = "{";
  for (const auto& [name, stage] : kSteps) text += cat('"', name, "\":", number_text(this->*stage), ',');
  for (const auto& [name, stage] : kLoading) text += cat('"', name, "\":", number_text(this->*stage), ',');
  return text + cat("\"threads\":", threads, "}");
}

std::string stage_text(const StageTimes& times) {
  std::string text = "step: ";
  for (const auto& [name, stage] : kSteps) {
    if (stage == &StageTimes::wait) break;
    text += cat(name, " ", share_text(times.*stage, times.wall()), ", ");
  }
  text += cat("waiting for data ", share_text(times.wait, times.wall()), "; ", times.threads,
              times.threads == 1 ? " loader thread" : " loader threads", " busy ",
              share_text(times.loading(), times.wall() * static_cast<double>(times.threads)), ": ");
  std::vector<std::string> parts;
  for (const auto& [name, stage] : kLoading) {
    parts.push_back(cat(name, " ", share_text(times.*stage, times.loading())));
  }
  return text + join(parts, ", ");
}

std::string stage_advice(const StageTimes& times, int64_t cores) {
  constexpr double kFine = 0.05;  // of the time; less is not worth a thought
  if (times.wait <= kFine * times.wall()) return "data comes in time: the step is the limit";
  const std::string found = cat("the step waits for data ", share_text(times.wait, times.wall()), " of the time");
  constexpr double kIdle = 0.7;
  if (times.loading() < kIdle * static_cast<double>(times.threads) * times.wall()) {
    return cat(found,
               ", though the loader's threads are idle too: raise loader.prefetch, so that a slow video does not ",
               "hold up its batch; or the machine has fewer free cores than threads");
  }
  if (times.open > times.decode && times.open > times.render) {
    return cat(found, ", most of it for opening files: put the videos on a faster disk");
  }
  const std::string busiest = times.render > times.decode ? "cropping and colours" : "decoding";
  std::string ways = cat(found, ", most of it for ", busiest, ": ");
  if (times.threads < cores) ways += cat("raise loader.workers (", times.threads, " of ", cores, " cores), or ");
  return ways + (times.render > times.decode
                     ? "take a smaller clip.size"
                     : "rewrite the videos once at the size that is needed, with short distances between key frames; "
                       "a set that fits into memory is decoded once with loader.cache_mb");
}

void StageClock::enter(double StageTimes::*stage) {
  const Clock::time_point now = Clock::now();
  times_.*stage_ += std::chrono::duration<double>(now - since_).count();
  stage_ = stage;
  since_ = now;
}

StageTimes StageClock::now() {
  enter(stage_);
  StageTimes times = times_;
  times.wait = stream_.wait_seconds() - waited_before_;
  times.gather = std::max(0.0, times.gather - times.wait);
  const ClipLoader::Timing loading = stream_.timing();
  times.open = loading.open;
  times.plan = loading.plan;
  times.decode = loading.decode;
  times.render = loading.finish;
  times.threads = loading.threads;
  return times;
}

}  // namespace cstp
