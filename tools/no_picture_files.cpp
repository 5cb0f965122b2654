// In place of OpenCV's library of picture files, which brings 150 MB of formats with it, in bundles for machines that
// only measure (scripts/gpu_bundle.sh): programs start, and whoever reads or writes a picture hears why not.
#include <opencv2/imgcodecs.hpp>

namespace {
[[noreturn]] void refuse() {
  CV_Error(cv::Error::StsNotImplemented, "this bundle of the program neither reads nor writes picture files");
}
}  // namespace

namespace cv {
Mat imread(const String&, int) { refuse(); }
Mat imdecode(InputArray, int) { refuse(); }
bool imencode(const String&, InputArray, std::vector<uchar>&, const std::vector<int>&) { refuse(); }
}  // namespace cv
