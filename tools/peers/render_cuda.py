"""CVRL's views by torchvision v2 on a GPU, from the plans of `bench_render_cuda --plans FILE`; prints a JSON document a case.

usage: render_cuda.py FILE [--rounds N] [--dtype bf16|f32]

Frames are uint8 RGB on the GPU before the clock runs: the conversion from the decoder's planes, which bench_render_cuda
does, is nobody's time here. Operations run on bytes, as torchvision advises, clip by clip with one draw a clip; then the
batch is made floats of [-1,1] in channels-last memory. Contrast is about each frame's mean, as torchvision has no other.
"""
import argparse
import json
import sys

import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F


def render(clip, view, size):
    """uint8 [T,3,H,W] -> uint8 [T,3,S,S]"""
    x, y, w, h = view["box"]
    clip = F.resized_crop(clip, y, x, h, w, [size, size], InterpolationMode.BILINEAR, antialias=False)
    if view["flip"]:
        clip = F.horizontal_flip(clip)
    for op in view["jitter"]:
        clip = getattr(F, "adjust_" + op)(clip, view[op])
    if view["grey"]:
        clip = F.rgb_to_grayscale(clip, num_output_channels=3)
    if view["blur_sigma"]:
        clip = F.gaussian_blur(clip, [view["blur_taps"]] * 2, [view["blur_sigma"]] * 2)
    if view["solarize"] <= 1:
        clip = F.solarize(clip, 255 * view["solarize"])
    return clip


def batch_of(case, clips, dtype):
    views = [render(clips[i // 2], view, case["size"]) for i, view in enumerate(case["views"])]
    batch = torch.stack(views).permute(0, 2, 1, 3, 4)  # [N,3,T,S,S]
    return batch.to(dtype, memory_format=torch.channels_last_3d).mul_(2 / 255).sub_(1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("plans")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--dtype", choices=["bf16", "f32"], default="bf16")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("render_cuda.py: no GPU is usable here: nothing was measured")
    dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[options.dtype]
    with open(options.plans) as file:
        cases = json.load(file)
    for case in cases:
        shape = (case["frames"], 3, case["height"], case["width"])
        clips = [torch.randint(0, 256, shape, dtype=torch.uint8, device="cuda") for _ in range(len(case["views"]) // 2)]
        seconds = []
        for number in range(3 + options.rounds):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            begin.record()
            batch_of(case, clips, dtype)
            end.record()
            torch.cuda.synchronize()
            if number >= 3:
                seconds.append(begin.elapsed_time(end) / 1000)
        seconds.sort()
        middle = seconds[len(seconds) // 2]
        print(json.dumps({"bench": "render_cuda", "peer": "torchvision v2", "gpu": torch.cuda.get_device_name(),
                          "case": case["case"], "type": options.dtype, "views": len(case["views"]),
                          "frames": case["frames"], "seconds": middle, "best_seconds": seconds[0],
                          "views_per_second": len(case["views"]) / middle}), flush=True)


if __name__ == "__main__":
    main()
