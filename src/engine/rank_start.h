/// How the ranks of a training run start as one.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cstp/distributed/world.h"
#include "cstp/engine/optimizer.h"
#include "cstp/engine/run_config.h"
#include "cstp/objectives/objective.h"

namespace cstp {

/// Where a rank names its bad videos: bad.jsonl, bad-1.jsonl, ...
std::filesystem::path journal_of(const std::filesystem::path& output, int64_t rank);
/// The journals of all ranks that ever worked on this run, sorted.
std::vector<std::filesystem::path> journals(const std::filesystem::path& output);

/// Ranks that differ in what they train would give no error but nonsense. @throws ConfigError naming the rank
void require_same_on_all(const World& world, const RunConfig& config, const std::string& data_hash);

/// Everything that a checkpoint holds becomes rank 0's.
void start_as_first(Objective& objective, Optimizer& optimizer, const World& world);

/// Each rank's dropout is its own, and a function of the step, so that it needs no place in the checkpoint.
void seed_step(int64_t seed, int64_t step, int64_t rank);

}  // namespace cstp
