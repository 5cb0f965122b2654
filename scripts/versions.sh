# Every pinned version, in one place. Sourced by the other scripts.
CSTP_TORCH_VERSION=2.11.0          # LibTorch, from the Python wheel (CUDA 13.0; cuDNN 9.19)
# The CUDA compiler, of the version that the wheel was built with: 270 MB, and no toolkit need be installed.
CSTP_CUDA_COMPILER=(nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-cccl==13.0.85)
CSTP_TORCHVISION_VERSION=0.26.0    # tests only: parity of the backbones with torchvision's
CSTP_SAFETENSORS_VERSION=0.8.0     # tests only: our files read by Python, and Python's by us
CSTP_SELENIUM_VERSION=4.50.0       # tests only: drives a browser over the retrieval page
# Disk that a first set-up needs: packages 1.5 GB (with the tests' browser 2 GB), virtual environment 5.5 GB, build 1 GB.
CSTP_DISK_NEEDED_MB=9000
# Debian 12 or later and Ubuntu 24.04 or later carry these under the same names.
CSTP_PACKAGES=(
  g++ cmake ninja-build mold ccache pkg-config git ca-certificates
  python3 python3-venv
  libavcodec-dev libavformat-dev libavutil-dev libswscale-dev
  libarchive-dev
  libopencv-core-dev libopencv-imgproc-dev libopencv-imgcodecs-dev libopencv-video-dev
  libyaml-cpp-dev libspdlog-dev libcli11-dev nlohmann-json3-dev
  libgloo-dev   # headers alone: LibTorch contains the code
  libgtest-dev libgmock-dev
)
# TV-L1 optical flow, which only the published form of STS wants: 400 MB, so only on request.
CSTP_TVL1_PACKAGES=(libopencv-contrib-dev)
# FAISS, for galleries past a million videos: 8 MB, but BLAS and LAPACK come with it.
CSTP_FAISS_PACKAGES=(libfaiss-dev libblas-dev liblapack-dev)
# Tests only: what counts instructions, and a browser. Ubuntu has chromium as a snap alone; there the browser test skips.
CSTP_TEST_PACKAGES=(valgrind)
if [ "$(. /etc/os-release 2> /dev/null && echo "${ID:-}")" = debian ]; then
  CSTP_TEST_PACKAGES+=(chromium chromium-driver)
fi
# Benchmarks only: what they are measured against, and the program that makes their videos.
CSTP_RIVALS=(torchvision=="$CSTP_TORCHVISION_VERSION" torchcodec==0.11.1 decord==0.6.0 av==18.1.0 opencv-python-headless==5.0.0.93 faiss-cpu==1.15.1)
CSTP_BENCH_PACKAGES=(ffmpeg libbenchmark-dev)
