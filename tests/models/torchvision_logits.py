"""Moves random weights between torchvision's video networks and files, so that two programs can compare their logits.

make NAME FILE    writes random weights, an input and torchvision's logits for it
check NAME FILE   loads a file of the other program strictly and compares its logits with torchvision's
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


def main(action, name, path):
    torch.set_num_threads(1)
    model = getattr(video, name)()
    if action == "make":
        randomize(model)
        clips = torch.randn(2, 3, 8, 48, 48)
        model.eval()
        with torch.no_grad():
            logits = model(clips)
        save_file({**model.state_dict(), "input": clips, "logits": logits}, path)
        return
    tensors = load_file(path)
    clips, logits = tensors.pop("input"), tensors.pop("logits")
    model.load_state_dict(tensors)  # strict: every name and shape must agree
    model.eval()
    with torch.no_grad():
        difference = (model(clips) - logits).abs().max().item()
    if not difference <= 1e-4:
        sys.exit(f"{name}: the logits differ by {difference}")


if __name__ == "__main__":
    main(*sys.argv[1:])
