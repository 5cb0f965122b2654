/// Which clips were cut from the same source, where their file names show it.
#pragma once
#include <string>
#include <string_view>

namespace cstp {

/// The source that a clip's name tells, "" where it tells none. Groups are meant within a class.
/// - UCF101 `v_HandStandPushups_g08_c01.avi` -> "v_HandStandPushups_g08": the clips of a group share person and place.
/// - HMDB51 `April_09_brush_hair_u_nm_np1_ba_goo_0.avi` -> "April_09_brush_hair": what stands before the five tags
///   (visible body, camera motion, people, viewpoint, quality) and the number is the source video and the class.
std::string source_group(std::string_view path);

}  // namespace cstp
