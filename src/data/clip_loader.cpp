#include "cstp/data/clip_loader.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <map>
#include <optional>
#include <thread>

#include "cstp/core/config.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "video_cache.h"

namespace cstp {
namespace {

/// Bad videos in a row at one place before the data itself is called bad.
constexpr int64_t kMostAttempts = 20;

OpenVideo open_with_reader(const std::string& path, const ReaderOptions& options, const GpuDecoding& gpu) {
  auto reader = std::make_shared<VideoReader>(path, options);
  OpenVideo video{.info = reader->info(),
                  .read = [reader](std::span<const int64_t> frames,
                                   const FrameMemory& memory) { return reader->read(frames, memory); },
                  .read_on_gpu = {}};
  if (gpu.decoders && std::min(video.info.width, video.info.height) >= gpu.short_side) {
    video.read_on_gpu = [reader, gpu](std::span<const int64_t> frames) {
      return reader->read_on_gpu(frames, *gpu.decoders, gpu.wait);
    };
  }
  return video;
}

/// Adds the time until its end to a counter.
class Stopwatch {
 public:
  explicit Stopwatch(double& seconds) : seconds_(seconds) {}
  ~Stopwatch() { seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& seconds_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Readers name the file in their messages; where the path is put in front anyway, it is taken off.
std::string without_path(const std::string& cause, const std::string& path) {
  const std::string prefix = path + ": ";
  return cause.starts_with(prefix) ? cause.substr(prefix.size()) : cause;
}

}  // namespace

void LoaderOptions::bind(Fields& f) {
  f.integer("workers", workers, {.min = 0, .max = 1024}, "decoding threads; 0: one per core");
  f.integer("prefetch", prefetch, {.min = 1, .max = 1024}, "batches decoded ahead of the one in use");
  f.number("decode_deadline", decode_deadline, {.min = 0.01, .max = 86400},
           "seconds for one video; past it the video counts as bad");
  f.integer("cache_mb", cache_mb, {.min = 0, .max = 1 << 24},
            "MiB of decoded videos kept in memory, for small data sets; 0 = none");
  f.choice("render", render, {"auto", "cpu", "cuda"},
           "where views are rendered: cpu by the loader's threads, cuda by the GPU; auto: where the network computes");
  f.choice("decode", decode, {"auto", "cpu", "cuda"},
           "where videos are decoded: cpu by the loader's threads, cuda by the GPU's decoder where it can; auto: the "
           "CPU, but where the GPU renders and has a decoder free, it takes those of 720 lines or more");
}

struct ClipLoader::Impl {
  struct Slot {
    std::optional<Sample> sample;
    std::exception_ptr error;
  };

  Setup setup;
  mutable std::mutex mutex{};
  std::condition_variable room{};   ///< workers wait for it: the consumer has moved on
  std::condition_variable ready{};  ///< the consumer waits for it: the sample at `front` is done
  std::map<int64_t, Slot> done{};   ///< finished samples that were not delivered yet; at most batch * prefetch
  int64_t front = 0;                ///< first sample not delivered
  int64_t next = 0;                 ///< first sample that no worker has taken
  bool stopping = false;
  Timing timing{};
  std::vector<std::thread> workers{};

  bool may_start() const { return next < std::min(setup.last, front + setup.batch * setup.options.prefetch); }

  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      room.wait(lock, [this] { return stopping || next >= setup.last || may_start(); });
      if (stopping || next >= setup.last) return;
      const int64_t n = next++;
      lock.unlock();
      Slot slot;
      Timing spent;
      try {
        slot.sample = make(n, spent);
      } catch (...) {
        slot.error = std::current_exception();
      }
      lock.lock();
      if (!slot.sample && !slot.error) return;  // stopping
      timing.open += spent.open;
      timing.plan += spent.plan;
      timing.decode += spent.decode;
      timing.finish += spent.finish;
      ++timing.samples;
      timing.on_gpu += slot.sample && slot.sample->on_gpu ? 1 : 0;
      done.emplace(n, std::move(slot));
      if (n == front) ready.notify_one();
    }
  }

  bool is_stopping() const {
    const std::lock_guard lock(mutex);
    return stopping;
  }

  /// Sample n, whatever it takes; nothing if the loader is being destroyed.
  std::optional<Sample> make(int64_t n, Timing& spent) const {
    const StreamPlace place = setup.place(n);
    for (int64_t attempt = 0; attempt < kMostAttempts; ++attempt) {
      if (setup.replacement && setup.bad->known(place.epoch, place.position, attempt)) continue;  // replayed, not tried
      if (is_stopping()) return std::nullopt;
      Sample sample;
      sample.record = attempt == 0 ? place.record : setup.replacement(place, attempt);
      const VideoRecord& record = setup.dataset->videos[static_cast<size_t>(sample.record)];
      sample.path = record.path;
      sample.label = record.label;
      sample.position = place.position;
      sample.attempt = attempt;
      std::string cause;
      try {
        decode(place, record, sample, spent);
      } catch (const DataError& error) {
        cause = without_path(error.what(), record.path);
      }
      if (cause.empty() && setup.finish) {
        const Stopwatch watch(spent.finish);
        try {
          setup.finish(sample);
        } catch (const DecodeError& error) {  // something beside the video (its stored flow) cannot be read
          cause = without_path(error.what(), record.path);
        }
      }
      if (cause.empty()) return sample;
      if (!setup.replacement) {  // evaluation: kept and named, never replaced
        sample.plan = {};
        sample.frame_numbers.clear();
        sample.frames.clear();
        sample.memory.clear();
        sample.error = record.path + ": " + cause;
        return sample;
      }
      setup.bad->report(place, attempt, record, cause);
    }
    throw DataError(cat("epoch ", place.epoch, ", position ", place.position, ": ", kMostAttempts,
                        " videos in a row could not be decoded; see the videos named above, or list the usable ones"));
  }

  void decode(const StreamPlace& place, const VideoRecord& record, Sample& sample, Timing& spent) const {
    OpenVideo video = [&] {
      const Stopwatch watch(spent.open);
      return setup.open(record.path, {.deadline = setup.options.decode_deadline, .threads = 1});
    }();
    sample.video = video.info;
    {
      const Stopwatch watch(spent.plan);
      Rng rng(setup.seed, place.epoch, static_cast<uint64_t>(place.position), static_cast<uint64_t>(sample.attempt));
      sample.plan = setup.plan(sample.video, rng);
      sample.frame_numbers = frames_wanted(sample.plan);
    }
    if (sample.frame_numbers.empty()) return;
    check(sample.frame_numbers.front() >= 0 && sample.frame_numbers.back() < sample.video.frames,
          "a plan asks for frames outside the video");
    const Stopwatch watch(spent.decode);
    if (video.read_on_gpu && !sample.plan.raw_bytes) {
      if (auto there = video.read_on_gpu(sample.frame_numbers)) {
        sample.frames = std::move(there->frames);
        sample.memory = std::move(there->memory);
        sample.on_gpu = true;
      }
    }
    if (!sample.on_gpu)
      sample.frames = video.read(sample.frame_numbers, [&sample](size_t bytes) {
        sample.memory.push_back(std::make_shared_for_overwrite<uint8_t[]>(bytes));
        return sample.memory.back().get();
      });
    check(sample.frames.size() == sample.frame_numbers.size(),
          "the reader gave another number of frames than it was asked for");
  }
};

ClipLoader::ClipLoader(Setup setup) : impl_(new Impl{.setup = std::move(setup)}) {
  Setup& s = impl_->setup;
  check(s.dataset != nullptr && s.plan && s.place && s.batch >= 1 && s.options.prefetch >= 1,
        "ClipLoader: incomplete set-up");
  check(!s.replacement || s.bad != nullptr, "ClipLoader: replacements need a journal");
  if (!s.open) {
    s.open = [gpu = s.gpu](const std::string& path, const ReaderOptions& options) {
      return open_with_reader(path, options, gpu);
    };
  }
  if (s.options.cache_mb > 0) {
    const auto cache = std::make_shared<VideoCache>(s.options.cache_mb << 20, std::move(s.open));
    s.open = [cache](const std::string& path, const ReaderOptions& options) { return cache->open(path, options); };
  }
  impl_->front = impl_->next = s.first;
  int64_t count = s.options.workers > 0 ? s.options.workers : std::max(1U, std::thread::hardware_concurrency());
  count = std::clamp<int64_t>(s.last - s.first, 0,
                              std::min(count, s.batch * s.options.prefetch));  // no more than can be busy
  impl_->timing.threads = count;
  for (int64_t i = 0; i < count; ++i) impl_->workers.emplace_back([this] { impl_->work(); });
}

ClipLoader::~ClipLoader() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->room.notify_all();
  for (std::thread& worker : impl_->workers) worker.join();
}

Batch ClipLoader::next() {
  Impl& impl = *impl_;
  Batch batch;
  std::unique_lock lock(impl.mutex);
  const int64_t end = std::min(impl.setup.last, impl.front + impl.setup.batch);
  if (impl.front >= end) return batch;
  batch.reserve(static_cast<size_t>(end - impl.front));
  while (impl.front < end) {
    impl.ready.wait(lock, [&impl] { return impl.done.contains(impl.front); });
    const auto slot = impl.done.find(impl.front);
    if (slot->second.error) std::rethrow_exception(slot->second.error);  // stays in place: asking again says it again
    batch.push_back(std::move(*slot->second.sample));
    impl.done.erase(slot);
    ++impl.front;
    impl.room.notify_one();
  }
  return batch;
}

bool ClipLoader::ready() const {
  const std::lock_guard lock(impl_->mutex);
  const int64_t end = std::min(impl_->setup.last, impl_->front + impl_->setup.batch);
  if (impl_->front >= end) return false;
  for (int64_t n = impl_->front; n < end; ++n) {
    const auto slot = impl_->done.find(n);
    if (slot == impl_->done.end() || slot->second.error) return false;
  }
  return true;
}

ClipLoader::Timing ClipLoader::timing() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->timing;
}

}  // namespace cstp
