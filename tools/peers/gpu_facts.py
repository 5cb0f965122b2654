"""What a machine is, for scripts/gpu_check.sh.

usage: gpu_facts.py libraries    folders of PyTorch's libraries and of those that it loads, as LD_LIBRARY_PATH wants them
       gpu_facts.py machine      one JSON document: GPU, driver, versions, rates measured now; exit code 6 without a GPU
"""
import ctypes
import glob
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import time


def libraries():
    """Without importing torch, which takes seconds."""
    spec = importlib.util.find_spec("torch")
    if spec is None:
        sys.exit(f"gpu_facts.py: {sys.executable} has no torch")
    site = os.path.dirname(os.path.dirname(spec.origin))
    return [os.path.join(os.path.dirname(spec.origin), "lib")] + sorted(glob.glob(os.path.join(site, "nvidia", "*", "lib")))


def version_of(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def driver():
    try:
        asked = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True,
                               text=True, timeout=60)
        return asked.stdout.splitlines()[0].strip()
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return None


def has_library(name):
    try:
        ctypes.CDLL(name)
        return True
    except OSError:
        return False


def rate(work, once, rounds=5, times=10):
    """Work a second, the median of some rounds."""
    import torch

    seconds = []
    for number in range(rounds + 1):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(times):
            once()
        torch.cuda.synchronize()
        if number > 0:
            seconds.append(time.perf_counter() - begin)
    return work * times / sorted(seconds)[rounds // 2]


def machine():
    import torch

    facts = {"kind": "facts", "torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(),
             "torchvision": version_of("torchvision"), "triton": version_of("triton"), "driver": driver(),
             "cores": len(os.sched_getaffinity(0)), "nvdec": has_library("libnvcuvid.so.1")}
    if not torch.cuda.is_available():
        print(json.dumps(facts))
        sys.exit(6)
    device = torch.cuda.get_device_properties(0)
    n, values = 8192, 1 << 30
    a, b = (torch.randn(n, n, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    product = torch.empty_like(a)
    source = torch.randint(0, 256, (values,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    facts |= {"gpu": device.name, "multiprocessors": device.multi_processor_count, "memory_bytes": device.total_memory,
              "gemm_flops_per_second": rate(2 * n ** 3, lambda: torch.mm(a, b, out=product)),
              "copy_bytes_per_second": rate(2 * values, lambda: target.copy_(source))}
    print(json.dumps(facts))


if sys.argv[1:] == ["libraries"]:
    print(":".join(libraries()))
elif sys.argv[1:] == ["machine"]:
    machine()
else:
    sys.exit(__doc__)
