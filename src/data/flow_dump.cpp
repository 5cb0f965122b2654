#include "cstp/data/flow_dump.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <set>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/video/video_reader.h"
#include "flow_file.h"

namespace cstp {
namespace {

namespace fs = std::filesystem;

/// Thrown from within a video when the caller asks to stop.
struct Stopped {};

/// The folder is ours if it says so, with the same settings; else it must be free.
void claim_folder(const std::string& folder, const FlowSettings& settings) {
  const fs::path manifest = fs::path(folder) / "flow.json";
  try {
    if (fs::exists(manifest)) {
      if (read_text_file(manifest.native()) == settings.text()) return;
      const FlowStore there(folder, "");
      const auto shown = [](const FlowSettings& s) {
        return cat(s.flow.method, s.flow.method == "dis" ? " " + s.flow.preset : "", ", short side ", s.short_side,
                   ", ", s.codec.name, s.codec.name == "jpeg" ? cat(" ", s.codec.quality) : "");
      };
      throw DataError(cat(folder, " holds flow made with other settings (there: ", shown(there.settings()),
                          "; wanted: ", shown(settings), "); choose another folder, or remove this one"));
    }
    if (fs::exists(folder) && (!fs::is_directory(folder) || !fs::is_empty(folder))) {
      throw DataError(cat(folder, " holds something else than flow (there is no flow.json); choose another folder"));
    }
    fs::create_directories(folder);
  } catch (const fs::filesystem_error& error) {
    throw DataError(cat("the flow cannot be written to ", folder, " (", error.code().message(), ")"));
  }
  write_file_atomically(manifest.native(), settings.text());
}

uint64_t size_of_file(const std::string& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : size;
}

/// One video after another.
class VideoFlow {
 public:
  explicit VideoFlow(const FlowDumpSetup& setup)
      : setup_(setup), solver_(setup.settings.flow), fingerprint_(fingerprint(setup.settings.text())) {}

  bool is_there(const std::string& video, const std::string& target) const {
    const auto header = flow_file_header(target);
    return header && header->settings == fingerprint_ && header->video_bytes == size_of_file(video);
  }

  /// @return fields and bytes written
  std::pair<int64_t, int64_t> write(const std::string& video, const std::string& target) {
    VideoReader reader(video, {.deadline = setup_.deadline});
    const VideoInfo& info = reader.info();
    if (info.frames < 2) throw DecodeError(cat(video, ": has a single frame, and flow is between two"));
    std::tie(width_, height_) = size_with_short_side(info, setup_.settings.short_side);
    const auto size = static_cast<size_t>(width_ * height_);
    grey_[0].resize(size), grey_[1].resize(size), bytes_.resize(size);
    u_.resize(size), v_.resize(size);
    std::error_code error;
    fs::create_directories(fs::path(target).parent_path(), error);
    if (error) throw DataError(cat(target, ": its folder cannot be made (", error.message(), ")"));
    FlowFileWriter file(target, {.width = width_,
                                 .height = height_,
                                 .fields = info.frames - 1,
                                 .video_bytes = size_of_file(video),
                                 .settings = fingerprint_});
    const int64_t frame_bytes = info.width * info.height * 3 / 2 + 1;
    const int64_t stretch = std::max<int64_t>(2, setup_.stretch_bytes / frame_bytes);
    for (int64_t first = 0; first < info.frames; first += stretch) {
      add_stretch(reader, first, std::min(stretch, info.frames - first), file);
    }
    return {info.frames - 1, file.finish()};
  }

 private:
  void add_stretch(VideoReader& reader, int64_t first, int64_t count, FlowFileWriter& file) {
    std::vector<int64_t> numbers(static_cast<size_t>(count));
    std::iota(numbers.begin(), numbers.end(), first);
    std::vector<std::unique_ptr<uint8_t[]>> memory;
    const std::vector<Frame> frames = reader.read(numbers, [&memory](size_t bytes) {
      memory.push_back(std::make_unique_for_overwrite<uint8_t[]>(bytes));
      return memory.back().get();
    });
    for (int64_t i = 0; i < count; ++i) {
      if (setup_.stop && setup_.stop()) throw Stopped{};
      std::swap(grey_[0], grey_[1]);  // the frame before lies in the first
      grey_frame(frames[static_cast<size_t>(i)], width_, height_, grey_[1]);
      if (first + i == 0) continue;
      solver_.solve(grey_[0].data(), grey_[1].data(), width_, height_, u_.data(), v_.data());
      for (const std::vector<float>& plane : {std::cref(u_), std::cref(v_)}) {
        std::ranges::transform(plane, bytes_.begin(), flow_byte);
        file.add(compress_plane(bytes_, width_, height_, setup_.settings.codec));
      }
    }
  }

  const FlowDumpSetup& setup_;
  FlowSolver solver_;
  uint64_t fingerprint_;
  int64_t width_ = 0, height_ = 0;
  std::array<std::vector<uint8_t>, 2> grey_;
  std::vector<uint8_t> bytes_;
  std::vector<float> u_, v_;
};

std::vector<std::string> distinct(const std::vector<std::string>& videos) {
  std::set<std::string> seen;
  std::vector<std::string> result;
  for (const std::string& video : videos) {
    if (seen.insert(video).second) result.push_back(video);
  }
  return result;
}

}  // namespace

FlowDumpResult dump_flow(const FlowDumpSetup& setup) {
  const std::vector<std::string> videos = distinct(setup.videos);
  FlowDumpResult result{.videos = std::ssize(videos)};
  compress_plane(std::vector<uint8_t>(1), 1, 1, setup.settings.codec);  // both say what they do not know
  { const FlowSolver tried(setup.settings.flow); }
  claim_folder(setup.folder, setup.settings);

  std::atomic<size_t> next = 0;
  std::atomic<bool> stop = false;
  std::mutex mutex;  // guards what follows
  std::exception_ptr failure;
  std::vector<std::string> causes(videos.size());
  int64_t done = 0;
  const auto one = [&](VideoFlow& flow, size_t mine) {
    const std::string target = flow_file_name(setup.folder, setup.root, videos[mine]);
    const bool keep = flow.is_there(videos[mine], target);
    std::pair<int64_t, int64_t> written;
    std::string cause;
    try {
      if (!keep) written = flow.write(videos[mine], target);
    } catch (const DecodeError& error) {
      cause = error.what();
    }
    const std::lock_guard lock(mutex);
    causes[mine] = cause;
    if (!cause.empty()) log::warning(cause, "; it gets no flow");
    result.kept += keep;
    result.made += !keep && cause.empty();
    result.fields += written.first;
    result.bytes += written.second;
    ++done;
    if (setup.progress && !failure) setup.progress(done, result.videos);
  };
  const auto work = [&] {
    try {
      VideoFlow flow(setup);
      for (size_t mine = next++; mine < videos.size() && !stop; mine = next++) {
        if (setup.stop && setup.stop()) throw Stopped{};
        one(flow, mine);
      }
    } catch (const Stopped&) {
      const std::lock_guard lock(mutex);
      result.stopped = true;
      stop = true;
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      stop = true;
    }
  };
  const int64_t cores = std::max<int64_t>(1, std::thread::hardware_concurrency());
  const int64_t threads = std::min<int64_t>(setup.workers > 0 ? setup.workers : cores, std::ssize(videos));
  {
    std::vector<std::jthread> pool;
    for (int64_t i = 0; i < threads; ++i) pool.emplace_back(work);
  }
  if (failure) std::rethrow_exception(failure);
  for (size_t i = 0; i < videos.size(); ++i) {
    if (!causes[i].empty()) result.bad.push_back({videos[i], causes[i]});
  }
  return result;
}

}  // namespace cstp
