"""PyTorch's training step of the networks of networks.py, for tools/bench_step.cpp: one JSON argument says which, then a line
of standard input is answered with a line.

version      -> ok NAME
loss         -> ok LOSS             of the weights that were given, before any step
run STEPS    -> ok WALL CPU BYTES   seconds of so many steps; the most memory held so far

Variants: eager (contiguous, as written), channels_last (weights and clips in channels_last_3d), compile and max_autotune
(torch.compile in its default mode and in that one, over channels_last). All under autocast where bf16, with cuDNN's
benchmark mode, and with PyTorch's fused SGD.
"""
import json
import os
import resource
import sys
import time

import numpy as np
import torch
from torch import nn

import networks


class Net(nn.Module):
    def __init__(self, name, classes):
        super().__init__()
        self.backbone, features = networks.make(name)
        self.head = nn.Linear(features, classes)

    def forward(self, clips):
        return self.head(self.backbone(clips).mean((2, 3, 4)))

    def weights(self):
        """{the program's name: parameter}"""
        weights = {"backbone." + networks.program_name(name): value for name, value in self.backbone.named_parameters()}
        return weights | {"head." + name: value for name, value in self.head.named_parameters()}


def values_of(setup, name, dtype):
    return torch.from_numpy(np.fromfile(os.path.join(setup["folder"], name), dtype))


def load_weights(setup, net):
    with open(os.path.join(setup["folder"], "weights.json")) as file:
        layout = json.load(file)
    values, at = values_of(setup, "weights.f32", np.float32), 0
    mine = net.weights()
    assert sorted(mine) == sorted(entry["name"] for entry in layout), "the networks have other parameters"
    with torch.no_grad():
        for entry in layout:
            parameter = mine[entry["name"]]
            assert list(parameter.shape) == entry["shape"], entry["name"]
            parameter.copy_(values[at : at + parameter.numel()].view(parameter.shape))
            at += parameter.numel()


class Step:
    def __init__(self, setup):
        self.device = torch.device(setup["device"])
        self.bf16 = setup["precision"] == "bf16"
        last = setup["variant"] != "eager"
        form = torch.channels_last_3d if last else torch.contiguous_format
        net = Net(setup["model"], setup["classes"])
        load_weights(setup, net)
        self.net = net.to(self.device).to(memory_format=form).train()
        clips = values_of(setup, "clips.f32", np.float32).view(setup["clips"])
        self.clips = clips.to(self.device).contiguous(memory_format=form)
        self.labels = values_of(setup, "labels.i64", np.int64).to(self.device)
        self.call = self.net
        if setup["variant"] == "compile":
            self.call = torch.compile(self.net)
        elif setup["variant"] == "max_autotune":
            self.call = torch.compile(self.net, mode="max-autotune")
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.01, momentum=0.9, fused=True)

    def loss(self, call):
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            logits = call(self.clips)
        return nn.functional.cross_entropy(logits.float(), self.labels)

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def run(self, steps):
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(steps):
            self.optimizer.zero_grad(set_to_none=True)
            self.loss(self.call).backward()
            self.optimizer.step()
        self.wait()
        return time.perf_counter() - wall, time.process_time() - cpu

    def peak(self):
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated()
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main():
    setup = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what compilers print is no answer
    torch.set_num_threads(setup["threads"])
    torch.backends.cudnn.benchmark = True
    step = Step(setup)
    for line in sys.stdin:
        command, *rest = line.split()
        if command == "version":
            print("ok", networks.version_of(setup["model"]), file=answers, flush=True)
        elif command == "loss":
            with torch.no_grad():
                print("ok", step.loss(step.net).item(), file=answers, flush=True)
        elif command == "run":
            print("ok", *step.run(int(rest[0])), step.peak(), file=answers, flush=True)
        else:
            print("unknown command", command, file=answers, flush=True)


main()
