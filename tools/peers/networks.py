"""Networks to measure a training step with, in PyTorch: torchvision's, and those it does not have, written here as anybody
would write them, with the program's names for their weights.

usage: networks.py MODEL FRAMES SIZE    prints the fewest bytes that a step of one clip moves in bf16, as JSON

Those bytes: every convolution reads its input and writes its output; going back it reads both and the gradient of its
output twice (for its input's and for its weights'), and writes the gradient of its input. Norms, ReLUs, gates and sums are
taken to cost nothing, being fused into their neighbours, but for what a sum reads beside them: its shortcut, forward and
back. Pools and the sharing of a gradient by branches are left out, weights too (a thousandth).
"""
import collections
import json
import sys

import torch
from torch import nn

TORCHVISION = {"r2plus1d18": "r2plus1d_18", "r3d18": "r3d_18", "mc3_18": "mc3_18", "s3d": "s3d"}


def unit(inputs, outputs, kernel, stride=(1, 1, 1), relu=True):
    padding = tuple(k // 2 for k in kernel)
    layers = [nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False), nn.BatchNorm3d(outputs)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


class Bottleneck(nn.Module):
    """CVRL's: time is looked at by the first convolution, space by the second."""

    def __init__(self, inputs, middle, kernel, stride):
        super().__init__()
        strides = (1, stride, stride)
        self.conv1 = unit(inputs, middle, (kernel, 1, 1))
        self.conv2 = unit(middle, middle, (1, 3, 3), strides)
        self.conv3 = unit(middle, 4 * middle, (1, 1, 1), relu=False)
        self.downsample = None
        if stride != 1 or inputs != 4 * middle:
            self.downsample = unit(inputs, 4 * middle, (1, 1, 1), strides, relu=False)

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu_(self.conv3(self.conv2(self.conv1(x))) + shortcut)


class R3d50(nn.Module):
    features = 2048

    def __init__(self):
        super().__init__()
        self.stem = unit(3, 64, (5, 7, 7), (2, 2, 2))
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        inputs = 64
        for k, blocks in enumerate((3, 4, 6, 3)):
            stage = nn.Sequential()
            for block in range(blocks):
                stage.append(Bottleneck(inputs, 64 << k, 1 if k < 2 else 3, 2 if k > 0 and block == 0 else 1))
                inputs = 4 * (64 << k)
            setattr(self, f"layer{k + 1}", stage)

    def forward(self, clips):
        return self.layer4(self.layer3(self.layer2(self.layer1(self.pool(self.stem(clips))))))


class SamePool(nn.Module):
    """A max-pool that divides sizes by its stride and rounds up."""

    def __init__(self, kernel, stride):
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x):
        before = [max(k - (n % s or s), 0) // 2 for n, k, s in zip(x.shape[2:], self.kernel, self.stride)]
        return nn.functional.max_pool3d(x, self.kernel, self.stride, before, ceil_mode=True)


class Gate(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fc = nn.Linear(channels, channels)

    def forward(self, x):
        return x * torch.sigmoid(self.fc(x.mean((2, 3, 4))))[:, :, None, None, None]


def separable(inputs, outputs):
    return nn.Sequential(unit(inputs, outputs, (1, 3, 3)), unit(outputs, outputs, (3, 1, 1)))


class Inception(nn.Module):
    def __init__(self, inputs, b0, b1_reduced, b1, b2_reduced, b2, b3):
        super().__init__()
        point = (1, 1, 1)

        def gated(outputs, *layers):
            return nn.Sequential(*layers, Gate(outputs))

        self.branch0 = nn.Sequential(*unit(inputs, b0, point)[:2], Gate(b0))
        self.branch1 = gated(b1, unit(inputs, b1_reduced, point), separable(b1_reduced, b1))
        self.branch2 = gated(b2, unit(inputs, b2_reduced, point), separable(b2_reduced, b2))
        self.branch3 = gated(b3, SamePool((3, 3, 3), (1, 1, 1)), unit(inputs, b3, point))

    def forward(self, x):
        conv, norm, gate = self.branch0
        first = gate(torch.relu_(norm(conv(x))))
        return torch.cat([first, self.branch1(x), self.branch2(x), self.branch3(x)], 1)


class S3dg(nn.Module):
    """S3D-G of Pace Prediction."""
    features = 1024

    def __init__(self):
        super().__init__()
        layers = nn.Sequential(
            unit(3, 64, (3, 7, 7), (2, 2, 2)), SamePool((1, 3, 3), (1, 2, 2)), unit(64, 64, (1, 1, 1)),
            nn.Sequential(*separable(64, 192), Gate(192)), SamePool((1, 3, 3), (1, 2, 2)),
            Inception(192, 64, 96, 128, 16, 32, 32), Inception(256, 128, 128, 192, 32, 96, 64),
            SamePool((3, 3, 3), (2, 2, 2)),
            Inception(480, 192, 96, 208, 16, 48, 64), Inception(512, 160, 112, 224, 24, 64, 64),
            Inception(512, 128, 128, 256, 24, 64, 64), Inception(512, 112, 144, 288, 32, 64, 64),
            Inception(528, 256, 160, 320, 32, 128, 128), SamePool((2, 2, 2), (2, 2, 2)),
            Inception(832, 256, 160, 320, 32, 128, 128), Inception(832, 384, 192, 384, 48, 128, 128))
        self.parts = nn.Sequential(collections.OrderedDict(features=layers))

    def forward(self, clips):
        return self.parts(clips)


class Torchvision(nn.Module):
    """torchvision's, without what follows the last map."""

    def __init__(self, name):
        super().__init__()
        import torchvision

        net = getattr(torchvision.models.video, TORCHVISION[name])(weights=None)
        self.features = 1024 if name == "s3d" else net.fc.in_features
        self.parts = nn.Sequential(collections.OrderedDict(
            (part, child) for part, child in net.named_children() if part not in ("avgpool", "fc", "classifier")))

    def forward(self, clips):
        return self.parts(clips)


def make(name):
    """-> (module: clips [N,3,T,S,S] -> maps [N,C,T',S',S'], C)"""
    net = {"r3d50": R3d50, "s3dg": S3dg}[name]() if name in ("r3d50", "s3dg") else Torchvision(name)
    return net, net.features


def program_name(parameter):
    """The program's name of a weight."""
    return parameter.removeprefix("parts.")


def version_of(name):
    if name not in TORCHVISION:
        return f"torch {torch.__version__}"
    import torchvision

    return f"torch {torch.__version__}, torchvision {torchvision.__version__}"


def least_bytes(name, frames, size):
    elements = 0

    def convolution(layer, inputs, output):
        nonlocal elements
        image = inputs[0].shape[1] == 3  # nobody asks for its gradient
        elements += (2 if image else 3) * inputs[0].numel() + (3 if image else 4) * output.numel()

    def block(layer, inputs, output):
        nonlocal elements
        elements += 2 * output.numel()

    with torch.device("meta"):
        net, _ = make(name)
        for module in net.modules():
            if isinstance(module, nn.Conv3d):
                module.register_forward_hook(convolution)
            elif hasattr(module, "conv1") and hasattr(module, "conv2"):
                module.register_forward_hook(block)
        net(torch.zeros(1, 3, frames, size, size))
    return 2 * elements


if __name__ == "__main__":
    model, frames, size = sys.argv[1:]
    print(json.dumps({"kind": "floor", "model": model, "frames": int(frames), "size": int(size),
                      "bytes_per_clip": least_bytes(model, int(frames), int(size))}))
