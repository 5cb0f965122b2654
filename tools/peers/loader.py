"""The training pairs of bench_loader.cpp as others would make them; prints a JSON document a reader.

usage: loader.py --pairs FILE [--first N] [--count N] [--dump FOLDER] READER...
Readers: torchcodec_exact, torchcodec_approximate, decord, pyav, opencv; "_apart" behind a name makes the two clips in two
calls on the same open file instead of asking for all frames of the pair at once. Pictures are cut to the box and resized to
112x112 by torchvision's v2 (bilinear, antialias); OpenCV's by cv2.resize (INTER_AREA, its filter for shrinking).
"""
import argparse
import json
import os
import resource
import sys
import time

import numpy as np
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

FRAMES, STRIDE, SIZE = 16, 2, 112


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def frame_numbers(pair):
    return [[start + t * STRIDE for t in range(FRAMES)] for start in pair["start"]]


def cut(frames, box):
    """[T,3,H,W] uint8 -> [T,3,S,S] uint8"""
    x, y, w, h = box
    return F.resized_crop(frames, y, x, h, w, [SIZE, SIZE], InterpolationMode.BILINEAR, antialias=True)


def per_frames(read, numbers, together):
    """Frames of both clips by `read(sorted distinct numbers) -> {number: [3,H,W] tensor}`."""
    if together:
        every = read(sorted(set(numbers[0] + numbers[1])))
        return [torch.stack([every[n] for n in clip]) for clip in numbers]
    clips = []
    for clip in numbers:
        found = read(clip)
        clips.append(torch.stack([found[n] for n in clip]))
    return clips


def torchcodec_clips(pair, together, mode):
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(pair["path"], seek_mode=mode, num_ffmpeg_threads=1)
    numbers = frame_numbers(pair)
    if together:
        frames = decoder.get_frames_at(indices=numbers[0] + numbers[1]).data
        clips = [frames[:FRAMES], frames[FRAMES:]]
    else:
        clips = [decoder.get_frames_at(indices=clip).data for clip in numbers]
    return [cut(clip, box) for clip, box in zip(clips, pair["box"])]


def decord_clips(pair, together):
    import decord

    reader = decord.VideoReader(pair["path"], ctx=decord.cpu(0), num_threads=1)

    def read(numbers):
        batch = torch.from_numpy(reader.get_batch(numbers).asnumpy()).permute(0, 3, 1, 2)
        return dict(zip(numbers, batch))

    return [cut(clip, box) for clip, box in zip(per_frames(read, frame_numbers(pair), together), pair["box"])]


def pyav_clips(pair, together):
    import av

    with av.open(pair["path"]) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        rate, base, start = stream.average_rate, stream.time_base, stream.start_time or 0

        def read(numbers):
            container.seek(int(numbers[0] / rate / base) + start, stream=stream, backward=True)
            wanted, found = set(numbers), {}
            for frame in container.decode(stream):
                number = round((frame.pts - start) * base * rate)
                if number in wanted:
                    found[number] = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
                if number >= numbers[-1]:
                    break
            return found

        return [cut(clip, box) for clip, box in zip(per_frames(read, frame_numbers(pair), together), pair["box"])]


def opencv_clips(pair, together):
    import cv2

    capture = cv2.VideoCapture(pair["path"], cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])

    def read(numbers):
        capture.set(cv2.CAP_PROP_POS_FRAMES, numbers[0])
        wanted, found = set(numbers), {}
        for number in range(numbers[0], numbers[-1] + 1):
            if number not in wanted:
                capture.grab()
                continue
            ok, frame = capture.read()
            if not ok:
                raise RuntimeError(f"{pair['path']}: no frame {number}")
            found[number] = frame
        return found

    def cut_all(frames, box):
        x, y, w, h = box
        views = [cv2.cvtColor(cv2.resize(f[y:y + h, x:x + w], (SIZE, SIZE), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
                 for f in frames]
        return torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2)

    numbers = frame_numbers(pair)
    every = read(sorted(set(numbers[0] + numbers[1]))) if together else None
    clips = []
    for clip, box in zip(numbers, pair["box"]):
        found = every if together else read(clip)
        clips.append(cut_all([found[n] for n in clip], box))
    return clips


READERS = {
    "torchcodec_exact": lambda pair, together: torchcodec_clips(pair, together, "exact"),
    "torchcodec_approximate": lambda pair, together: torchcodec_clips(pair, together, "approximate"),
    "decord": decord_clips,
    "pyav": pyav_clips,
    "opencv": opencv_clips,
}


def run(name, pairs, folder):
    clips_of, together = READERS[name.removesuffix("_apart")], not name.endswith("_apart")
    clips_of(pairs[0], together)  # imports and first-use set-up are not what is measured
    out = open(os.path.join(folder, name + ".rgb"), "wb") if folder else None
    cpu, wall = cpu_seconds(), time.monotonic()
    for pair in pairs:
        clips = clips_of(pair, together)
        if out:
            for clip in clips:
                out.write(clip.permute(0, 2, 3, 1).contiguous().numpy().tobytes())
    cpu, wall = cpu_seconds() - cpu, time.monotonic() - wall
    count = 2 * len(pairs)
    print(json.dumps({"reader": name, "clips": count, "cpu_seconds": cpu, "wall_seconds": wall,
                      "clips_per_cpu_second": count / cpu, "clips_per_second": count / wall}), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=-1)
    parser.add_argument("--dump", default="")
    parser.add_argument("readers", nargs="+")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with open(options.pairs, encoding="utf-8") as file:
        pairs = [json.loads(line) for line in file]
    end = len(pairs) if options.count < 0 else options.first + options.count
    for name in options.readers:
        try:
            run(name, pairs[options.first:end], options.dump)
        except Exception as error:  # a rival that cannot read a file is a result
            print(json.dumps({"reader": name, "error": f"{type(error).__name__}: {error}"}), flush=True)
            print(f"loader.py: {name}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
