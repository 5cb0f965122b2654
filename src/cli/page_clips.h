/// The folder of a page, and the clips in it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "preview_clip.h"

namespace cstp {

/// A video of a page: FOLDER/media/CLIP.mp4 and .jpg, or "" and why there is no clip.
struct PageVideo {
  std::string path;
  int64_t label = -1;
  std::string clip, problem;
};

/// Makes the folder, or finds it usable. @throws UsageError if it is a file or holds another page, DataError if it
/// cannot be made
void prepare_page_folder(const std::string& folder);

/// Makes the clips that are not there yet, each file once, and sets `clip` or `problem` of every video. A video that
/// cannot be shown is named in a warning. Shows its progress in the log.
/// @param workers threads; 0: one per core
/// @throws DataError if the disk is full
void write_clips(std::vector<PageVideo>& videos, const std::string& folder, const PreviewOptions& options,
                 int64_t workers);

/// Removes the clips of earlier pages that `videos` do not name, and what killed runs left.
void remove_other_clips(const std::string& folder, const std::vector<PageVideo>& videos);

}  // namespace cstp
