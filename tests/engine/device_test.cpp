// What a GPU's software must be, told by version numbers.
#include "cstp/engine/device.h"

#include <ATen/Context.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/torch.h>

#include "cstp/core/error.h"

namespace cstp {
namespace {

TEST(Cudnn, IsRefusedWhereItsBf16ConvolutionsAreWrong) {
  for (const int64_t version : {90100, 90701, 91500, 91900, 92000}) EXPECT_NO_THROW(require_sound_cudnn(version));
  for (const int64_t version : {90800, 91002, 91499}) EXPECT_THROW(require_sound_cudnn(version), DeviceError);
  try {
    require_sound_cudnn(91002);
    FAIL();
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("cuDNN 9.10.2 is in use"));
    EXPECT_THAT(error.what(), testing::HasSubstr("9.8 to 9.14"));
    EXPECT_THAT(error.what(), testing::HasSubstr("train.precision=f32"));
  }
}

TEST(Cudnn, UsesTf32WhereItIsRight) {
  for (const int64_t version : {90701, 91001, 91600, 91900}) EXPECT_TRUE(has_sound_tf32(version)) << version;
  for (const int64_t version : {91002, 91300, 91500}) EXPECT_FALSE(has_sound_tf32(version)) << version;
}

TEST(GpuMemory, IsWrittenAsJsonMembers) {
  EXPECT_EQ((GpuMemory{.peak_allocated = 5, .peak_reserved = 7}).json(),
            "\"gpu_peak_allocated_bytes\":5,\"gpu_peak_reserved_bytes\":7");
}

TEST(CudaDevice, IsSetUpForFixedShapesAndCountsItsMemory) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU here";
  const c10::Device device = select_device("cuda");
  EXPECT_TRUE(at::globalContext().benchmarkCuDNN());
  EXPECT_FALSE(at::globalContext().allowTF32CuBLAS());
  const at::Tensor held = torch::zeros({1 << 20}, torch::TensorOptions(device));
  EXPECT_GE(gpu_memory(device).peak_allocated, int64_t{4} << 20);
  EXPECT_GE(gpu_memory(device).peak_reserved, gpu_memory(device).peak_allocated);
  with_precision(true, device, [] {});  // this cuDNN is a sound one
}

}  // namespace
}  // namespace cstp
