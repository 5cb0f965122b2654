/// Labelled videos whose class no single frame gives away.
///
/// A textured object moves over a scene. Where the object starts (place, angle, size, stretch) is uniform on closed
/// circles and the motion only adds to it, so at every time each frame has exactly the same distribution in all classes
/// of the kinds motion, direction, order and pace. In the kind appearance the class is the pattern on the object and
/// the motion is drawn at random. Everything is a function of (options, class, index): the same everywhere and always.
///
/// The scenes suit self-supervision too: each has its own large and middle-sized texture and shapes (overlapping crops
/// can be recognised), light from above (its upright can be told) and showers of rain at moments of its own (when a
/// clip begins can be told against another).
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace cstp {

class Fields;

struct SyntheticOptions {
  std::string kind = "motion";   ///< what the class is; see synthetic_classes()
  int64_t classes = 0;           ///< the first so many classes of the kind; 0: all
  int64_t train_per_class = 40;  ///< videos
  int64_t test_per_class = 15;
  int64_t frames = 96;
  int64_t width = 128;  ///< even
  int64_t height = 96;  ///< even
  double fps = 25;
  double speed = 1;  ///< factor on all motion
  int64_t seed = 1;
  void bind(Fields& f);
};

/// The names of the classes in label order, options.classes of them:
/// - motion: drift orbit shuttle spin pulse squash hop zigzag. The way of moving; mirrored, turned or slower it is the
/// same.
/// - direction: left right up down clockwise counterclockwise grow shrink. A mirror or a turn changes the class.
/// - appearance: stripes checks dots rings waves spokes patches plain. The pattern on the object.
/// - order: two short motions, a pause, and again; pairs of classes differ only in which of the two comes first.
/// - pace: the same motions at 1/2, 1, 2 and 4 times the usual speed.
/// @throws UsageError naming the option that makes no sense
std::vector<std::string> synthetic_classes(const SyntheticOptions& options);

/// Where the object of a frame is.
struct ObjectPose {
  double x = 0;  ///< centre in pixels, in [0, width); what leaves the frame comes back at the other side
  double y = 0;
  double angle = 0;    ///< radians; grows clockwise, as y points down
  double area = 0;     ///< fraction of the frame
  double stretch = 1;  ///< length over width, in the object's own axes
};

/// One video, not yet drawn. Immutable: callable from many threads.
class SyntheticVideo {
 public:
  /// @param label in [0, classes); @param index names the video within its class
  SyntheticVideo(const SyntheticOptions& options, int64_t label, int64_t index);
  ~SyntheticVideo();
  SyntheticVideo(SyntheticVideo&&) noexcept;

  ObjectPose pose(int64_t frame) const;
  /// @param rgb receives [height, width, 3] bytes
  void render(int64_t frame, std::span<uint8_t> rgb) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct SyntheticResult {
  int64_t made = 0;  ///< files written by this call
  int64_t kept = 0;  ///< files that an earlier call had finished
};

/// Writes root/train/<class>/0000.mp4 ... and root/test/<class>/0000.mp4 ..., and root/synthetic.json with the options.
/// Called again with the same options it makes only what is missing.
/// @param workers threads; 0: one per core
/// @param progress called with (files there, files in all) after each file, one call at a time; may throw to stop
/// @throws DataError if root holds something else or cannot be written, UsageError if the options make no sense
SyntheticResult make_synthetic(const std::string& root, const SyntheticOptions& options, int64_t workers = 0,
                               const std::function<void(int64_t, int64_t)>& progress = {});

}  // namespace cstp
