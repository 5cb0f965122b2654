"""Moves random weights between torchvision's video networks and files, so that two programs can compare their logits.

make NAME FILE SIZES...  writes random weights, an input for each size (FRAMESxHEIGHTxWIDTH) and torchvision's logits
check NAME FILE          loads a file of the other program strictly and compares its logits with torchvision's
"""
import sys

try:
    import torch
    from safetensors.torch import load_file, save_file
    from torchvision.models import video
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(77)  # the test skips


def randomize(model):
    """Weights and running statistics away from their defaults, so that a swapped or forgotten tensor is seen."""
    torch.manual_seed(7)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var") or (name.endswith("weight") and tensor.dim() == 1):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith(("running_mean", "bias")):
            tensor.uniform_(-0.2, 0.2)


def main(action, name, path, *sizes):
    torch.set_num_threads(1)
    model = getattr(video, name)()
    if action == "make":
        randomize(model)
        model.eval()
        cases = {}
        for size in sizes:
            cases[f"input {size}"] = clips = torch.randn(1, 3, *map(int, size.split("x")))
            with torch.no_grad():
                cases[f"logits {size}"] = model(clips)
        save_file({**model.state_dict(), **cases}, path)
        return
    tensors = load_file(path)
    cases = {key: tensors.pop(key) for key in list(tensors) if " " in key}
    model.load_state_dict(tensors)  # strict: every name and shape must agree
    model.eval()
    assert cases
    for key, clips in cases.items():
        if not key.startswith("input "):
            continue
        size = key.split()[1]
        with torch.no_grad():
            difference = (model(clips) - cases[f"logits {size}"]).abs().max().item()
        if not difference <= 1e-4:
            sys.exit(f"{name}: the logits of {size} differ by {difference}")


if __name__ == "__main__":
    main(*sys.argv[1:])
