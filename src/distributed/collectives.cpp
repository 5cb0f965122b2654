#include "cstp/distributed/collectives.h"

#include <ATen/ATen.h>
#include <torch/utils.h>

#include <algorithm>
#include <cstring>

#include "cstp/core/error.h"
#include "rank_group.h"

namespace cstp {
namespace {

/// Contiguous, on a device that the group can exchange from.
at::Tensor exchangeable(const at::Tensor& values, const World& world) {
  const bool there = world.group->has_backend(values.device().type());
  return (there ? values : values.to(world.group->home())).detach().contiguous();
}

at::Tensor bytes_of(const std::string& text) {
  const at::Tensor bytes = at::empty({static_cast<int64_t>(text.size())}, at::kByte);
  std::memcpy(bytes.data_ptr<uint8_t>(), text.data(), text.size());
  return bytes;
}

std::string text_of(const at::Tensor& bytes) {
  const at::Tensor host = bytes.to(at::kCPU).contiguous();
  return {reinterpret_cast<const char*>(host.const_data_ptr<uint8_t>()), static_cast<size_t>(host.numel())};
}

}  // namespace

void sum_over_ranks(at::Tensor& values, const World& world) {
  if (world.size == 1) return;
  const torch::NoGradGuard no_grad;
  at::Tensor flat = exchangeable(values, world);
  exchange(world, [&](c10d::ProcessGroup& group) {
    std::vector<at::Tensor> tensors = {flat};
    group.allreduce(tensors)->wait();
  });
  if (!flat.is_alias_of(values)) values.copy_(flat);
}

at::Tensor mean_over_ranks(const at::Tensor& values, const World& world) {
  if (world.size == 1) return values;
  at::Tensor sum = values.detach().clone();
  sum_over_ranks(sum, world);
  return sum / static_cast<double>(world.size);
}

void take_from_first(const std::vector<at::Tensor>& tensors, const World& world) {
  if (world.size == 1) return;
  const torch::NoGradGuard no_grad;
  for (const at::Tensor& tensor : tensors) {
    at::Tensor flat = exchangeable(tensor, world);
    exchange(world, [&](c10d::ProcessGroup& group) {
      std::vector<at::Tensor> sent = {flat};
      group.broadcast(sent)->wait();
    });
    if (!flat.is_alias_of(tensor)) at::Tensor(tensor).copy_(flat);
  }
}

int64_t take_from_first(int64_t value, const World& world) {
  if (world.size == 1) return value;
  const at::Tensor shared = at::full({1}, value, at::kLong);
  take_from_first(std::vector<at::Tensor>{shared}, world);
  return shared.item<int64_t>();
}

std::string take_from_first(const std::string& text, const World& world) {
  if (world.size == 1) return text;
  const int64_t size = take_from_first(static_cast<int64_t>(text.size()), world);
  if (size == 0) return "";
  const at::Tensor shared = world.is_first() ? bytes_of(text) : at::zeros({size}, at::kByte);
  take_from_first(std::vector<at::Tensor>{shared}, world);
  return text_of(shared);
}

at::Tensor join_rows(const at::Tensor& rows, const World& world) {
  if (world.size == 1) return rows;
  const torch::NoGradGuard no_grad;
  const auto all_gather = [&world](const at::Tensor& mine) {
    std::vector<int64_t> shape = mine.sizes().vec();
    shape[0] *= world.size;
    at::Tensor all = at::empty(shape, mine.options());
    at::Tensor input = mine;
    exchange(world, [&](c10d::ProcessGroup& group) { group._allgather_base(all, input)->wait(); });
    return all;
  };
  const at::Tensor own_count = at::full({1}, rows.size(0), at::TensorOptions(at::kLong).device(world.group->home()));
  const at::Tensor counts = all_gather(own_count).to(at::kCPU);
  const int64_t most = counts.max().item<int64_t>();
  if (most == 0) return rows;
  const at::Tensor mine = exchangeable(rows, world);
  std::vector<int64_t> shape = mine.sizes().vec();
  shape[0] = most;
  at::Tensor padded = at::zeros(shape, mine.options());
  if (rows.size(0) > 0) padded.narrow(0, 0, rows.size(0)).copy_(mine);
  const at::Tensor all = all_gather(padded);
  std::vector<at::Tensor> parts;
  for (int64_t rank = 0; rank < world.size; ++rank) {
    parts.push_back(all.narrow(0, rank * most, counts[rank].item<int64_t>()));
  }
  return at::cat(parts).to(rows.device());
}

std::vector<std::string> join_texts(const std::string& text, const World& world) {
  if (world.size == 1) return {text};
  const at::Tensor sizes = join_rows(at::full({1}, static_cast<int64_t>(text.size()), at::kLong), world);
  const std::string all = text_of(join_rows(bytes_of(text), world));
  std::vector<std::string> texts;
  size_t place = 0;
  for (int64_t rank = 0; rank < world.size; ++rank) {
    const auto size = static_cast<size_t>(sizes[rank].item<int64_t>());
    texts.push_back(all.substr(place, size));
    place += size;
  }
  return texts;
}

void meet(const World& world) { (void)take_from_first(int64_t{0}, world), (void)join_texts("", world); }

std::pair<int64_t, int64_t> part_of_rank(int64_t count, const World& world) {
  return {count * world.rank / world.size, count * (world.rank + 1) / world.size};
}

struct AgreedFlag::Pending {
  at::Tensor flag;
  c10::intrusive_ptr<c10d::Work> work;
};

AgreedFlag::AgreedFlag(World world) : world_(std::move(world)) {}

AgreedFlag::~AgreedFlag() {
  if (!pending_) return;
  try {
    pending_->work->wait();
  } catch (const std::exception&) {
    // The ranks parted already; the error that parted them is on its way.
  }
}

bool AgreedFlag::ask(bool mine) {
  if (world_.size == 1) return mine;
  bool answer = false;
  if (pending_) {
    pending_->work->wait();
    answer = pending_->flag.item<int64_t>() > 0;
  }
  auto next = std::make_unique<Pending>();
  next->flag = at::full({1}, mine ? 1 : 0, at::TensorOptions(at::kLong).device(world_.group->home()));
  exchange(world_, [&](c10d::ProcessGroup& group) {
    std::vector<at::Tensor> tensors = {next->flag};
    next->work = group.allreduce(tensors);
  });
  pending_ = std::move(next);
  return answer;
}

}  // namespace cstp
