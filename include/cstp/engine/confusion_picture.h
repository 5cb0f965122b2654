/// A confusion matrix as a picture: rows are the true classes, columns the answers, each row normalised to its videos.
#pragma once
#include <string>
#include <vector>

#include "cstp/engine/confusion.h"
#include "cstp/video/picture.h"

namespace cstp {

/// Right answers are blue, wrong ones orange; counts stand in the cells where there is room.
/// @param title lines above the matrix; long ones are broken
Picture confusion_picture(const Confusion& confusion, const std::vector<std::string>& title);

}  // namespace cstp
