#include "cstp/engine/selection.h"

#include <algorithm>
#include <map>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/random.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

/// The groups of one class, each with its rows, in the order of their first rows.
using Groups = std::vector<std::vector<int64_t>>;

std::map<int64_t, Groups> groups_by_class(const at::Tensor& labels, const std::vector<std::string>& groups) {
  const at::Tensor host = labels.contiguous();
  check(groups.empty() || std::ssize(groups) == host.numel(), "hold_out_a_tenth: not one group a row");
  std::map<int64_t, Groups> by_class;
  std::map<std::pair<int64_t, std::string>, size_t> place;
  for (int64_t row = 0; row < host.numel(); ++row) {
    const int64_t label = host.data_ptr<int64_t>()[row];
    Groups& known = by_class[label];
    const std::string name = groups.empty() ? "" : groups[static_cast<size_t>(row)];
    const auto [found, is_new] = place.try_emplace({label, name}, known.size());
    if (name.empty() || is_new) {
      known.push_back({row});
    } else {
      known[found->second].push_back(row);
    }
  }
  return by_class;
}

/// A function of its own: where the right side of an assignment throws, GCC 12 at -O2 leaves a value in an optional
/// that was empty.
RateTrial try_rate(double lr, const std::function<std::optional<double>(double lr)>& accuracy) {
  try {
    return {lr, accuracy(lr)};
  } catch (const NumericError& error) {
    log::warning("lr ", lr, " diverged on nine tenths of train and is out: ", error.what());
    return {lr, std::nullopt};
  }
}

}  // namespace

HeldOut hold_out_a_tenth(const at::Tensor& labels, const std::vector<std::string>& groups, uint64_t seed) {
  HeldOut parts;
  for (auto& [label, members] : groups_by_class(labels, groups)) {
    size_t videos = 0;
    for (const auto& group : members) videos += group.size();
    const size_t tenth = std::max<size_t>(1, videos / 10);
    Rng(seed, 0x7e57, static_cast<uint64_t>(label + 1)).shuffle(std::span(members));
    size_t held = 0;
    for (const auto& group : members) {
      const bool taken = held < tenth && 2 * (held + group.size()) <= videos;
      held += taken ? group.size() : 0;
      auto& part = taken ? parts.held_out : parts.fit;
      part.insert(part.end(), group.begin(), group.end());
    }
  }
  std::sort(parts.fit.begin(), parts.fit.end());
  std::sort(parts.held_out.begin(), parts.held_out.end());
  return parts;
}

RateChoice choose_rate(const std::vector<double>& rates,
                       const std::function<std::optional<double>(double lr)>& accuracy) {
  check(!rates.empty(), "choose_rate: no learning rate");
  RateChoice choice{rates.front(), {}};
  if (rates.size() == 1) return choice;
  std::optional<double> best;
  for (const double lr : rates) {
    const RateTrial trial = try_rate(lr, accuracy);
    if (trial.accuracy) log::info("lr ", lr, " gives ", *trial.accuracy, " on the held-out tenth of train");
    if (trial.accuracy && (!best || *trial.accuracy > *best)) {
      best = trial.accuracy;
      choice.lr = lr;
    }
    choice.trials.push_back(trial);
  }
  if (!best)
    log::warning("no learning rate could be scored on a held-out tenth of train; the first, ", choice.lr, ", is used");
  return choice;
}

}  // namespace cstp
