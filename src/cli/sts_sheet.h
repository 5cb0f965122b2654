/// STS's questions as a picture: of some clips the blocks of the three patterns with what is true of them, and beside
/// it what a trained network answers.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "cstp/data/sample.h"
#include "cstp/objectives/sts.h"
#include "cstp/video/picture.h"

namespace cstp {

/// Everything of a clip that is drawn, taken while its frames are in memory.
struct StsCard {
  std::string title;
  std::vector<uint8_t> source;  ///< [256,256,3]: the upright frame squeezed
  int64_t width = 0, height = 0;
  CropBox crop;
  std::array<std::vector<uint8_t>, 3> background;  ///< [S,S,3]: boundaries of u, of v, and the colours
  std::vector<double> labels, answers;             ///< by slot; answers may be empty
};

/// Of an annotated sample whose frames and flow are still there. @param size S
StsCard sts_card(const Sample& sample, const std::string& path, int64_t size);

/// A row a clip, and one for its answers. @param fields of flow within a clip
Picture sts_sheet(const std::vector<StsCard>& cards, const std::vector<StsSlot>& slots, const StsPatterns& patterns,
                  int64_t fields);

}  // namespace cstp
