#include "cstp/video/synthetic.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <filesystem>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "cstp/core/config.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/video/video_writer.h"
#include "synthetic_motion.h"
#include "synthetic_scene.h"

namespace cstp {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kTestIndex = int64_t{1} << 40;  // test videos are numbered from here, apart from the training ones
constexpr int64_t kDrawing = 3;                   // to be raised when the same options come to give other pixels

struct Job {
  int64_t label;
  int64_t index;
  fs::path path;
};

std::vector<Job> list_jobs(const fs::path& root, const SyntheticOptions& options) {
  const std::vector<std::string> names = synthetic_classes(options);
  std::vector<Job> jobs;
  const auto add = [&](const char* split, int64_t count, int64_t first_index) {
    for (int64_t i = 0; i < count; ++i) {
      std::string number = std::to_string(i);
      number.insert(0, number.size() < 4 ? 4 - number.size() : 0, '0');
      for (int64_t label = 0; label < std::ssize(names); ++label) {
        jobs.push_back({label, first_index + i, root / split / names[static_cast<size_t>(label)] / (number + ".mp4")});
      }
    }
  };
  add("train", options.train_per_class, 0);
  add("test", options.test_per_class, kTestIndex);
  return jobs;
}

/// The options as JSON, one per line. Compared as text.
std::string manifest_text(const SyntheticOptions& options) {
  std::vector<std::string> quoted;
  for (const std::string& name : synthetic_classes(options)) quoted.push_back(cat('"', name, '"'));
  return cat("{\n  \"drawing\": ", kDrawing, ",\n  \"kind\": \"", options.kind, "\",\n  \"classes\": [",
             join(quoted, ", "), "],\n  \"train_per_class\": ", options.train_per_class,
             ",\n  \"test_per_class\": ", options.test_per_class, ",\n  \"frames\": ", options.frames,
             ",\n  \"width\": ", options.width, ",\n  \"height\": ", options.height,
             ",\n  \"fps\": ", number_text(options.fps), ",\n  \"speed\": ", number_text(options.speed),
             ",\n  \"seed\": ", options.seed, "\n}\n");
}

/// A root is ours if it says so, with the same options; else it must be free.
void claim_root(const fs::path& root, const SyntheticOptions& options) {
  const std::string wanted = manifest_text(options);
  const fs::path manifest = root / "synthetic.json";
  if (fs::exists(manifest)) {
    const std::string found = read_text_file(manifest.string());
    if (found == wanted) return;
    const std::vector<std::string> have = split_lines(found), want = split_lines(wanted);
    size_t line = 0;
    while (line + 1 < std::min(have.size(), want.size()) && have[line] == want[line]) ++line;
    const auto shown = [&](const std::vector<std::string>& lines) {
      std::string_view text = line < lines.size() ? trim(lines[line]) : "nothing";
      if (text.ends_with(',')) text.remove_suffix(1);
      return std::string(text);
    };
    throw DataError(cat(root.string(), " holds videos made with other options (there: ", shown(have),
                        "; wanted: ", shown(want), "); choose another folder, or remove this one"));
  }
  for (const char* split : {"train", "test"}) {
    if (fs::exists(root / split)) {
      throw DataError(cat(root.string(), " already has a folder '", split,
                          "' that was not made here (there is no synthetic.json); choose another folder"));
    }
  }
  fs::create_directories(root);
  write_file_atomically(manifest.string(), wanted);
}

void write_video(const Job& job, const SyntheticOptions& options) {
  const SyntheticVideo video(options, job.label, job.index);
  VideoWriter writer(job.path.string(), {.width = options.width, .height = options.height, .fps = options.fps});
  std::vector<uint8_t> rgb(static_cast<size_t>(options.width * options.height * 3));
  for (int64_t frame = 0; frame < options.frames; ++frame) {
    video.render(frame, rgb);
    writer.write(rgb);
  }
  writer.finish();
}

}  // namespace

void SyntheticOptions::bind(Fields& f) {
  f.choice("kind", kind, synthetic_kinds(), "what the class of a video is");
  f.integer("classes", classes, {.min = 0, .max = 8}, "the first so many classes of the kind; 0: all");
  f.integer("train_per_class", train_per_class, {.min = 0, .max = 1'000'000}, "training videos of each class");
  f.integer("test_per_class", test_per_class, {.min = 0, .max = 1'000'000}, "test videos of each class");
  f.integer("frames", frames, {.min = 1, .max = 100'000}, "frames of each video");
  f.integer("width", width, {.min = 16, .max = 4096}, "pixels, even");
  f.integer("height", height, {.min = 16, .max = 4096}, "pixels, even");
  f.number("fps", fps, {.min = 1, .max = 240}, "frames per second that the files declare");
  f.number("speed", speed, {.min = 0.05, .max = 20}, "factor on all motion");
  f.integer("seed", seed, {.min = 0}, "another seed, other videos");
}

std::vector<std::string> synthetic_classes(const SyntheticOptions& options) {
  std::vector<std::string> names = all_synthetic_classes(options.kind);
  const auto known = std::ssize(names);
  if (known == 0) {
    throw UsageError(cat("synthetic videos: the kind '", options.kind, "' does not exist; there are ",
                         join(synthetic_kinds(), ", ")));
  }
  if (options.classes < 0 || options.classes == 1 || options.classes > known) {
    throw UsageError(cat("synthetic videos: ", options.classes, " classes were asked for; the kind '", options.kind,
                         "' gives 2 to ", known, ", or all of them with 0"));
  }
  if (options.width < 16 || options.height < 16 || options.width % 2 != 0 || options.height % 2 != 0) {
    throw UsageError(cat("synthetic videos: the size ", options.width, "x", options.height,
                         " does not work; both sides must be even and at least 16"));
  }
  if (options.frames < 1 || !(options.fps > 0) || !(options.speed > 0) || options.train_per_class < 0 ||
      options.test_per_class < 0 || options.seed < 0) {
    throw UsageError("synthetic videos: frames, fps and speed must be positive, and counts and seed not negative");
  }
  if (options.classes > 0) names.resize(static_cast<size_t>(options.classes));
  return names;
}

struct SyntheticVideo::Impl {
  Impl(const SyntheticOptions& options, int64_t label, Rng rng)
      : size(static_cast<size_t>(options.width * options.height * 3)),
        frames(options.frames),
        motion(options, label, rng),
        scene(options, options.kind == "appearance" ? label : -1, rng) {}
  size_t size;
  int64_t frames;
  SyntheticMotion motion;
  SyntheticScene scene;
};

SyntheticVideo::SyntheticVideo(const SyntheticOptions& options, int64_t label, int64_t index) {
  check(label >= 0 && label < std::ssize(synthetic_classes(options)), "SyntheticVideo: label out of range");
  const Rng rng(static_cast<uint64_t>(options.seed), static_cast<uint64_t>(label), static_cast<uint64_t>(index));
  impl_ = std::make_unique<Impl>(options, label, rng);
}
SyntheticVideo::~SyntheticVideo() = default;
SyntheticVideo::SyntheticVideo(SyntheticVideo&&) noexcept = default;

ObjectPose SyntheticVideo::pose(int64_t frame) const { return impl_->motion.at(frame); }

void SyntheticVideo::render(int64_t frame, std::span<uint8_t> rgb) const {
  check(frame >= 0 && frame < impl_->frames, "SyntheticVideo::render: no such frame");
  check(rgb.size() == impl_->size, "SyntheticVideo::render: the memory has the wrong size");
  impl_->scene.render(frame, impl_->motion.at(frame), rgb);
}

SyntheticResult make_synthetic(const std::string& root, const SyntheticOptions& options, int64_t workers,
                               const std::function<void(int64_t, int64_t)>& progress) {
  const std::vector<Job> jobs = list_jobs(root, options);
  std::vector<const Job*> missing;
  try {
    claim_root(root, options);
    for (const Job& job : jobs) {
      fs::create_directories(job.path.parent_path());
      if (!fs::exists(job.path)) missing.push_back(&job);  // files get their name when they are complete
    }
  } catch (const fs::filesystem_error& e) {
    throw DataError(cat("the synthetic videos cannot be written to ", root, " (", e.code().message(), ")"));
  }

  std::atomic<size_t> next = 0;
  std::atomic<bool> stop = false;
  std::mutex mutex;  // guards what follows
  std::exception_ptr failure;
  SyntheticResult result{.made = 0, .kept = std::ssize(jobs) - std::ssize(missing)};
  const auto work = [&] {
    while (!stop) {
      const size_t mine = next++;
      if (mine >= missing.size()) return;
      try {
        write_video(*missing[mine], options);
        const std::lock_guard lock(mutex);
        ++result.made;
        if (progress && !failure) progress(result.kept + result.made, std::ssize(jobs));
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        stop = true;
      }
    }
  };
  const int64_t cores = std::max<int64_t>(1, std::thread::hardware_concurrency());
  const int64_t threads = std::min<int64_t>(workers > 0 ? workers : cores, std::ssize(missing));
  {
    std::vector<std::jthread> pool;
    for (int64_t i = 0; i < threads; ++i) pool.emplace_back(work);
  }
  if (failure) std::rethrow_exception(failure);
  return result;
}

}  // namespace cstp
