"""The other side of the tensor file test: writes a known file with safetensors, or checks one that cstp wrote."""
import sys

try:
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(77)  # the test skips

TYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
         torch.int8, torch.uint8, torch.bool]


def expected():
    """Values that every type holds exactly, in a shape whose order matters."""
    tensors = {str(t).split(".")[1]: torch.tensor([[0, 1, 2], [3, 5, 8]]).to(t) for t in TYPES}
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.zeros(0, 4)
    return tensors


def main(action, path):
    if action == "make":
        save_file(expected(), path, metadata={"step": "12", "note": "a \"quoted\" word, \u00e9"})
        return
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"step": "12", "note": "a \"quoted\" word, \u00e9"}, file.metadata()
        assert sorted(file.keys()) == sorted(expected()), sorted(file.keys())
        for name, want in expected().items():
            have = file.get_tensor(name)
            assert have.dtype == want.dtype and torch.equal(have, want), (name, have)


if __name__ == "__main__":
    main(*sys.argv[1:])
