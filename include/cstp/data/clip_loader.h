/// Worker threads that turn records into decoded samples: place -> plan -> frames -> finish hook; ordered, bounded,
/// exception-carrying. The same samples come out whatever the number of workers.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "cstp/core/random.h"
#include "cstp/data/dataset.h"
#include "cstp/data/epoch_order.h"
#include "cstp/data/sample.h"
#include "cstp/video/video_reader.h"

namespace cstp {

struct LoaderOptions {
  int64_t workers = 0;            ///< decoding threads; 0 = one per core
  int64_t prefetch = 2;           ///< batches decoded ahead of the one in use
  double decode_deadline = 20.0;  ///< seconds for one video; past it the video counts as bad
  int64_t cache_mb = 0;           ///< MiB of decoded videos kept in memory, for small data sets; 0 = none
  std::string render = "auto";    ///< auto | cpu | cuda: where views are rendered
  std::string decode = "auto";    ///< auto | cpu | cuda: where videos are decoded
  void bind(Fields& f);
};

/// Bad videos of a run: counted, limited, written to a journal before a replacement is used (a timeout is no function
/// of seed and position), and replayed from it on resume. Thread-safe.
class BadVideos {
 public:
  /// @param journal JSON-lines file, created when the first bad video appears; "" keeps it in memory.
  ///        Existing lines are replayed: their (epoch, position, attempt) counts as bad without being tried.
  /// @param videos M; @param max_share of M that may be bad before report() throws DataError. One is tolerated in any
  ///        set, however small, unless the share is 0.
  /// @param others journals that are replayed too and not written: those of other ranks, and of earlier runs with more
  /// @throws DataError if the journals hold more than that already
  BadVideos(std::string journal, int64_t videos, double max_share, const std::vector<std::string>& others = {});
  bool known(uint64_t epoch, int64_t position, int64_t attempt) const;
  /// Logs "PATH: CAUSE; the sample was replaced (bad videos so far: 3 of 9,537)". @throws DataError above the limit
  void report(const StreamPlace& place, int64_t attempt, const VideoRecord& record, const std::string& cause);
  int64_t count() const;  ///< distinct bad videos
  /// Ranks tell each other which videos are bad, so that all count the same ones: those found here since the last call,
  /// one a line; and those that all found. @throws DataError above the limit
  std::string newly_bad();
  void learn(const std::vector<std::string>& newly_bad_of_all);

 private:
  void replay(const std::string& journal);
  void require_below_limit(const std::string& path, const std::string& cause) const;
  std::string journal_;
  int64_t videos_;
  double max_share_;
  mutable std::mutex mutex_;
  std::set<std::tuple<uint64_t, int64_t, int64_t>> known_;
  std::set<std::string> paths_;
  std::string fresh_;  ///< for newly_bad()
};

/// What the loader needs of an opened video.
struct OpenVideo {
  VideoInfo info;
  std::function<std::vector<Frame>(std::span<const int64_t> frames, const FrameMemory& memory)>
      read;  ///< as VideoReader::read
  std::function<std::optional<GpuFrames>(std::span<const int64_t> frames)>
      read_on_gpu;  ///< asked first; as VideoReader::read_on_gpu; empty: the CPU decodes
};

/// What a GPU decodes.
struct GpuDecoding {
  std::shared_ptr<GpuDecoders> decoders;  ///< null: nothing
  int64_t short_side = 0;                 ///< of the smallest videos that it takes, in pixels
  bool wait = false;                      ///< for one of its decoders to be free; else the CPU takes the video
};

class ClipLoader {
 public:
  struct Setup {
    const Dataset* dataset = nullptr;                        ///< outlives the loader
    std::function<SamplePlan(const VideoInfo&, Rng&)> plan;  ///< called from worker threads
    std::function<void(Sample&)> finish;                     ///< optional; on the worker, after decoding
    std::function<StreamPlace(int64_t n)> place;             ///< the n-th sample
    std::function<int64_t(const StreamPlace&, int64_t attempt)>
        replacement;  ///< record to use instead; empty: bad videos are kept, with Sample::error set and nothing decoded
    BadVideos* bad = nullptr;     ///< required with `replacement`
    uint64_t seed = 1;            ///< the plan's Rng is Rng(seed, epoch, position, attempt)
    int64_t first = 0, last = 0;  ///< samples [first, last) of the stream
    int64_t batch = 1;            ///< samples per next(); the last may be smaller
    LoaderOptions options;
    GpuDecoding gpu;  ///< for whoever renders there: samples that it decoded are of no use to the CPU
    std::function<OpenVideo(const std::string& path, const ReaderOptions&)> open;  ///< empty: VideoReader
  };
  explicit ClipLoader(Setup setup);
  ~ClipLoader();  ///< stops and joins the workers; waits for the decodes under way

  /// The next batch in order; empty after the last. Rethrows what a worker threw, at the position where it happened.
  Batch next();
  /// Whether next() would give a batch at once.
  bool ready() const;

  struct Timing {
    double open = 0, plan = 0, decode = 0, finish = 0;
    int64_t samples = 0;
    int64_t on_gpu = 0;   ///< of them decoded by the GPU
    int64_t threads = 0;  ///< workers
  };
  Timing timing() const;  ///< seconds of worker time so far

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cstp
