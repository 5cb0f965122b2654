"""The Python side of bench_augment, torchvision and OpenCV's wheel: reads the frames and plans of FOLDER, then answers
a line with a line.

names                            -> ok RIVAL...
time CASE RIVAL                  -> ok SECONDS   of the CPU, for rendering every view of the case once
write CASE RIVAL VIEW FILE       -> ok           one view goes to FILE, float32 [T,S,S,3]
"""
import json
import os
import sys
import time

import cv2
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


def render_torchvision(case, view):
    """uint8 [T,3,H,W] -> float32 [T,3,S,S], bytes up to the last step, as torchvision advises for speed."""
    clip = case["rgb"][view["clip"]]
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
    return clip.permute(0, 2, 3, 1)


def table(function, dtype=np.uint8):
    values = function(np.arange(256, dtype=np.float64))
    return (np.clip(np.rint(values), 0, 255) if dtype == np.uint8 else values).astype(dtype)


def opencv_jitter(rgb, op, view, mean):
    if op == "brightness":
        return cv2.LUT(rgb, table(lambda v: v * view["brightness"]))
    if op == "contrast":
        return cv2.LUT(rgb, table(lambda v: v * view["contrast"] + (1 - view["contrast"]) * mean))
    if op == "saturation":
        grey = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return cv2.addWeighted(rgb, view["saturation"], grey, 1 - view["saturation"], 0)
    steps = np.arange(256)
    turned = np.stack([(steps + round(256 * view["hue"])) % 256, steps, steps], -1).astype(np.uint8)[None]
    return cv2.cvtColor(cv2.LUT(cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV_FULL), turned), cv2.COLOR_HSV2RGB_FULL)


def opencv_cut(case, view, planes):
    rgb = cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420)
    x, y, w, h = view["box"]
    how = cv2.INTER_CUBIC if view["filter"] == "bicubic" else cv2.INTER_LINEAR
    size = case["size"]
    rgb = cv2.resize(rgb[y : y + h, x : x + w], (size, size), interpolation=cv2.INTER_AREA if view["antialias"] else how)
    if view["turns"]:
        rgb = cv2.rotate(rgb, [cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE][view["turns"] - 1])
    if view["flip"]:
        rgb = cv2.flip(rgb, 1)
    if view["tilt"]:
        turn = cv2.getRotationMatrix2D(((size - 1) / 2, (size - 1) / 2), view["tilt"], 1)
        rgb = cv2.warpAffine(rgb, turn, (size, size), flags=cv2.INTER_NEAREST)
    return rgb


def opencv_finish(case, view, t, rgb):
    if view["grey"] or view["grey_channel"]:
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) if view["grey"] else cv2.extractChannel(rgb, view["grey_channel"][t])
        rgb = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    if view["blur_sigma"]:
        rgb = cv2.GaussianBlur(rgb, [view["blur_taps"]] * 2, view["blur_sigma"], borderType=cv2.BORDER_REFLECT_101)
    signed = case["range"] == "signed"
    solarized = lambda v: np.where(v >= 255 * view["solarize"], 255 - v, v)
    return cv2.LUT(rgb, table(lambda v: solarized(v) / 255 * (2 if signed else 1) - (1 if signed else 0), np.float32))


def render_opencv(case, view):
    """I420 bytes [T,H*3/2,W] -> float32 [T,S,S,3]."""
    ops = view["jitter"]
    contrast = ops.index("contrast") if "contrast" in ops else len(ops)
    frames = [opencv_cut(case, view, planes) for planes in case["yuv"][view["clip"]]]
    for op in ops[:contrast]:
        frames = [opencv_jitter(rgb, op, view, 0) for rgb in frames]
    if contrast < len(ops):
        mean = np.mean([cv2.mean(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))[0] for rgb in frames])
        for op in ops[contrast:]:
            frames = [opencv_jitter(rgb, op, view, mean) for rgb in frames]
    out = np.empty((len(frames), case["size"], case["size"], 3), np.float32)
    for t, rgb in enumerate(frames):
        out[t] = opencv_finish(case, view, t, rgb)
    return out


def load(folder, planar):
    with open(os.path.join(folder, "cases.json")) as file:
        cases = json.load(file)
    files = {}
    for case in cases:
        clips, frames, height, width = case["frames"]
        if case["rgb"] not in files:
            files[case["yuv"]] = np.fromfile(os.path.join(folder, case["yuv"]), np.uint8).reshape(
                clips, frames, height * 3 // 2, width
            )
            rgb = torch.from_numpy(np.fromfile(os.path.join(folder, case["rgb"]), np.uint8))
            rgb = rgb.reshape(clips, frames, height, width, 3).permute(0, 1, 4, 2, 3)  # channels last in memory
            files[case["rgb"]] = rgb.contiguous() if planar else rgb
        case["yuv"], case["rgb"] = files[case["yuv"]], files[case["rgb"]]
    return cases


def main():
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    folder = sys.argv[1]
    planar, channels_last = load(folder, True), load(folder, False)
    rivals = {
        "torchvision-planar": (planar, render_torchvision),
        "torchvision-channels-last": (channels_last, render_torchvision),
        "opencv-python": (planar, render_opencv),
    }
    for line in sys.stdin:
        words = line.split()
        if words[0] == "names":
            print("ok", *rivals, flush=True)
            continue
        cases, render = rivals[words[2]]
        case = cases[int(words[1])]
        with torch.inference_mode():
            if words[0] == "time":
                start = time.process_time()
                for view in case["views"]:
                    render(case, view)
                print("ok", time.process_time() - start, flush=True)
            else:
                np.ascontiguousarray(render(case, case["views"][int(words[3])])).tofile(words[4])
                print("ok", flush=True)


main()
