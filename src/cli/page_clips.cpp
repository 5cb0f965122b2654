#include "page_clips.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "page_text.h"

namespace cstp {
namespace {

namespace fs = std::filesystem;

std::string media_folder(const std::string& folder) { return (fs::path(folder) / "media").string(); }

bool both_files_exist(const std::string& base) {
  std::error_code ignored;
  return fs::exists(base + ".mp4", ignored) && fs::exists(base + ".jpg", ignored);
}

/// Told apart from a video that cannot be written: with room for a clip, it is not the disk.
/// @throws DataError if a file of a megabyte cannot be written here
void require_room(const std::string& folder) {
  const std::string path = (fs::path(folder) / "room.tmp").string();
  const std::string content(1U << 20, '\0');
  std::FILE* file = std::fopen(path.c_str(), "wb");
  bool good = file != nullptr && std::fwrite(content.data(), 1, content.size(), file) == content.size();
  int cause = errno;
  if (file != nullptr && std::fclose(file) != 0 && good) {
    good = false;
    cause = errno;
  }
  std::error_code ignored;
  fs::remove(path, ignored);
  if (good) return;
  throw DataError(cat(folder, ": the clips of the page could not be written (", std::strerror(cause),
                      "); name a folder with room in --html, or ask for fewer --html-queries"));
}

/// The cause of "PATH: CAUSE": pages are shown to others, whom the folders of this machine do not concern.
std::string cause_alone(const std::string& message, const std::string& path) {
  const std::string start = path + ": ";
  return message.starts_with(start) ? message.substr(start.size()) : "could not be re-encoded";
}

/// A line now and then: in place on a terminal, else every half minute.
class Progress {
 public:
  explicit Progress(int64_t total) : total_(total) {}
  ~Progress() { log::status_line(""); }
  void one_more() {
    ++done_;
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const std::string line =
        cat("page  ", done_, "/", total_, " clips  ETA ",
            duration_text(seconds / static_cast<double>(done_) * static_cast<double>(total_ - done_)));
    if (log::has_terminal()) {
      log::status_line(line);
    } else if (now - spoken_ > std::chrono::seconds(30) || done_ == total_) {
      log::info(line);
      spoken_ = now;
    }
  }

 private:
  int64_t total_, done_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now(), spoken_ = start_;
};

}  // namespace

void prepare_page_folder(const std::string& folder) {
  if (folder.empty()) throw UsageError("--html: is empty; name a folder for the page");
  std::error_code error;
  if (fs::exists(folder, error) && !fs::is_directory(folder, error)) {
    throw UsageError(cat("--html ", folder, ": is a file; name a folder for the page"));
  }
  const std::string index = (fs::path(folder) / "index.html").string();
  if (fs::exists(index, error) && read_text_file(index).find(kPageGenerator) == std::string::npos) {
    throw UsageError(cat("--html ", folder,
                         ": holds an index.html that is not a retrieval page of cstp; name another "
                         "folder, or move that file away"));
  }
  fs::create_directories(media_folder(folder), error);
  if (error) throw DataError(cat("--html ", folder, ": the folder cannot be made (", error.message(), ")"));
}

void write_clips(std::vector<PageVideo>& videos, const std::string& folder, const PreviewOptions& options,
                 int64_t workers) {
  const std::string media = media_folder(folder);
  std::map<std::string, std::vector<size_t>> shows;  // clip -> videos: the same file may carry two labels
  for (size_t i = 0; i < videos.size(); ++i) {
    shows[preview_name(videos[i].path, options)].push_back(i);
  }
  std::vector<std::pair<std::string, std::vector<size_t>>> jobs(shows.begin(), shows.end());
  std::atomic<size_t> next = 0;
  std::atomic<bool> stop = false;
  std::mutex mutex;  // guards what follows
  std::exception_ptr failure;
  Progress progress(std::ssize(jobs));
  const auto make = [&](const std::string& path, const std::string& base) -> std::string {
    try {
      if (!both_files_exist(base)) write_preview(path, base, options);
      return "";
    } catch (const DecodeError& error) {
      return error.what();
    } catch (const std::exception& error) {
      require_room(media);
      return error.what();
    }
  };
  const auto work = [&] {
    for (size_t mine = next++; mine < jobs.size() && !stop; mine = next++) {
      const auto& [clip, rows] = jobs[mine];
      const std::string& path = videos[rows.front()].path;
      try {
        const std::string problem = make(path, (fs::path(media) / clip).string());
        const std::lock_guard lock(mutex);
        if (!problem.empty()) log::warning(problem, "; the page shows a placeholder for it");
        for (const size_t row : rows) {
          if (problem.empty()) videos[row].clip = clip;
          if (!problem.empty()) videos[row].problem = cause_alone(problem, path);
        }
        progress.one_more();
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        stop = true;
      }
    }
  };
  const int64_t cores = std::max<int64_t>(1, std::thread::hardware_concurrency());
  const int64_t threads = std::min<int64_t>(workers > 0 ? workers : cores, std::ssize(jobs));
  {
    std::vector<std::jthread> pool;
    for (int64_t i = 0; i < threads; ++i) pool.emplace_back(work);
  }
  if (failure) std::rethrow_exception(failure);
}

void remove_other_clips(const std::string& folder, const std::vector<PageVideo>& videos) {
  std::set<std::string> shown;
  for (const PageVideo& video : videos) shown.insert(video.clip);
  std::error_code ignored;
  std::vector<fs::path> others;
  for (const auto& entry : fs::directory_iterator(media_folder(folder), ignored)) {
    const std::string name = entry.path().filename().string();
    const std::string clip = name.substr(0, name.find('.'));
    const bool ours = clip.size() == 16 && clip.find_first_not_of("0123456789abcdef") == std::string::npos;
    const bool finished = name == clip + ".mp4" || name == clip + ".jpg";
    if (ours && !(finished && shown.contains(clip))) others.push_back(entry.path());
  }
  for (const fs::path& other : others) fs::remove(other, ignored);
}

}  // namespace cstp
