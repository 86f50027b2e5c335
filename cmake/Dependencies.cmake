# Where everything comes from: the distribution, but for LibTorch and the google.rpc protos, which are PyPI wheels in .venv.

find_package(Threads REQUIRED)
find_library(LOSSD_LZ4 lz4 REQUIRED)
find_package(absl REQUIRED)
find_package(Protobuf 3.21 REQUIRED)
find_package(gRPC REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(prometheus-cpp REQUIRED)
find_library(LOSSD_CIVETWEB civetweb REQUIRED)
find_package(GTest REQUIRED)
find_package(benchmark REQUIRED)

# yaml-cpp exports its target without a namespace before 0.8.
if(NOT TARGET yaml-cpp::yaml-cpp)
  add_library(yaml-cpp::yaml-cpp ALIAS yaml-cpp)
endif()

file(GLOB LOSSD_SITE_PACKAGES ${PROJECT_SOURCE_DIR}/.venv/lib/python3.*/site-packages)
if(NOT EXISTS "${LOSSD_SITE_PACKAGES}/torch/lib/libtorch.so")
  message(FATAL_ERROR "LibTorch is not in .venv: run `make setup` first.")
endif()

set(TORCH_ROOT ${LOSSD_SITE_PACKAGES}/torch)
include(LibTorch)
add_library(lossd_torch INTERFACE)
lossd_use_libtorch(lossd_torch ${TORCH_ROOT})
if(LOSSD_CUDA)
  # Registers the CUDA device with LibTorch; nothing references its symbols, so the linker must be told to keep it.
  target_link_libraries(lossd_torch INTERFACE -Wl,--no-as-needed ${TORCH_ROOT}/lib/libtorch_cuda.so
                        ${TORCH_ROOT}/lib/libc10_cuda.so -Wl,--as-needed)
endif()
