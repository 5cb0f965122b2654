"""torchvision's side of bench_augment: reads the frames and plans of FOLDER, then answers a line with a line.

time CASE RIVAL                  -> CPU seconds of rendering every view of the case once
write CASE RIVAL VIEW FILE       -> one view as float32 [T,S,S,3] into FILE
"""
import json
import os
import sys
import time

import numpy as np
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

MODES = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


def jitter(clip, op, view):
    if op == "brightness":
        return F.adjust_brightness(clip, view["brightness"])
    if op == "contrast":
        return F.adjust_contrast(clip, view["contrast"])
    if op == "saturation":
        return F.adjust_saturation(clip, view["saturation"])
    return F.adjust_hue(clip, view["hue"])


def render(case, view):
    """uint8 [T,3,H,W] -> float32 [T,3,S,S], bytes up to the last step, as torchvision advises for speed."""
    clip = case["clips"][view["clip"]]
    x, y, w, h = view["box"]
    clip = F.resized_crop(clip, y, x, h, w, [case["size"]] * 2, MODES[view["filter"]], antialias=view["antialias"])
    if view["turns"]:
        clip = torch.rot90(clip, view["turns"], (2, 3))
    if view["flip"]:
        clip = F.horizontal_flip(clip)
    if view["tilt"]:
        clip = F.rotate(clip, view["tilt"], InterpolationMode.NEAREST)
    for op in view["jitter"]:
        clip = jitter(clip, op, view)
    if view["grey"]:
        clip = F.rgb_to_grayscale(clip, num_output_channels=3)
    if view["grey_channel"]:
        chosen = torch.tensor(view["grey_channel"])[:, None, None, None].expand(-1, 1, *clip.shape[2:])
        clip = clip.gather(1, chosen.long()).expand(-1, 3, -1, -1)
    if view["blur_sigma"]:
        clip = F.gaussian_blur(clip, [view["blur_taps"]] * 2, [view["blur_sigma"]] * 2)
    if view["solarize"] <= 1:
        clip = F.solarize(clip, 255 * view["solarize"])
    clip = F.to_dtype(clip, torch.float32, scale=True)
    if case["range"] == "signed":
        clip = F.normalize(clip, [0.5] * 3, [0.5] * 3, inplace=True)
    return clip


def load(folder, layout):
    with open(os.path.join(folder, "cases.json")) as file:
        cases = json.load(file)
    files = {}
    for case in cases:
        if case["file"] not in files:
            frames = torch.from_numpy(np.fromfile(os.path.join(folder, case["file"]), np.uint8))
            frames = frames.reshape(case["frames"]).permute(0, 1, 4, 2, 3)  # [clips,T,3,H,W], channels last in memory
            files[case["file"]] = frames.contiguous() if layout == "planar" else frames
        case["clips"] = files[case["file"]]
    return cases


def main():
    torch.set_num_threads(1)
    folder = sys.argv[1]
    rivals = {"torchvision-planar": load(folder, "planar"), "torchvision-channels-last": load(folder, "channels last")}
    print(*rivals, flush=True)
    for line in sys.stdin:
        words = line.split()
        case = rivals[words[2]][int(words[1])]
        with torch.inference_mode():
            if words[0] == "time":
                start = time.process_time()
                for view in case["views"]:
                    render(case, view)
                print(time.process_time() - start, flush=True)
            else:
                render(case, case["views"][int(words[3])]).permute(0, 2, 3, 1).contiguous().numpy().tofile(words[4])
                print("done", flush=True)


main()
