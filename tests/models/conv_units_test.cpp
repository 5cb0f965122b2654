#include "conv_units.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <array>

namespace cstp {
namespace {

TEST(TemporalConv, IsTheConvolutionOfTheClipWithItsGradients) {
  torch::manual_seed(6);
  for (const int64_t kernel : {1, 3}) {
    for (const int64_t stride : {1, 2}) {
      // 5 channels: fewer than 16, where the strided 1x1 convolution that this avoids wrote past its memory.
      for (const int64_t channels : {5, 16}) {
        SCOPED_TRACE(testing::Message() << "kernel " << kernel << ", stride " << stride << ", channels " << channels);
        TemporalConv unit(channels, 16, kernel, stride);
        unit->weight.set_data(unit->weight.contiguous(at::MemoryFormat::ChannelsLast3d));
        for (int round = 0; round < 20; ++round) {
          const at::Tensor clips = torch::randn({2, channels, 8, 14, 14}).contiguous(at::MemoryFormat::ChannelsLast3d);
          std::array<at::Tensor, 2> outputs, inputs, slopes;
          for (size_t k = 0; k < 2; ++k) {
            inputs[k] = clips.detach().clone().requires_grad_();
            unit->zero_grad();
            outputs[k] = k == 0 ? unit->forward(inputs[k])
                                : at::conv3d(inputs[k], unit->weight, {}, {stride, 1, 1}, {kernel / 2, 0, 0});
            outputs[k].square().sum().backward();
            slopes[k] = unit->weight.grad().clone();
          }
          ASSERT_TRUE(torch::allclose(outputs[0], outputs[1], 1e-4, 1e-5));
          ASSERT_TRUE(torch::allclose(inputs[0].grad(), inputs[1].grad(), 1e-4, 1e-4));
          ASSERT_TRUE(torch::allclose(slopes[0], slopes[1], 1e-3, 1e-1));
        }
      }
    }
  }
}

}  // namespace
}  // namespace cstp
