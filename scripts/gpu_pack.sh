#!/usr/bin/env bash
# Gathers what a machine with a GPU needs to run the server, the tests and the benchmarks of a build with CUDA, if it has
# LibTorch of the same version in its Python and nothing else. There:
#
#   tar -xzf pack.tar.gz && pack/run test        what gpu_test.sh tests
#   pack/run gpu_bench                           what gpu_bench measures; the server is pack/run lossd
#
#   scripts/gpu_pack.sh [build/cuda]             makes build/cuda/pack.tar.gz
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/cuda}
pack=$build/pack
tests=(src/lossd/malis/device_loops_test src/lossd/malis/flat_malis_test src/lossd/malis/flat_malis_inputs_test
       src/lossd/sweep/cuda_sigmoid_test src/lossd/losses/losses_test src/lossd/compute/orchestrator_test
       server/gpu_test bench/gpu_bench)

scripts/pack.sh "$build" "$pack" --without-libtorch
for test in "${tests[@]}"; do
  strip -o "$pack/bin/$(basename "$test")" "$build/$test"
done
cp scripts/gpu_pack_run.sh "$pack/run"
cp scripts/gpu_test.sh "$pack"
[[ ! -f ../shared/data/cortex_seg_256.npz ]] || cp ../shared/data/cortex_seg_256.npz "$pack"
tar -C "$build" -czf "$pack.tar.gz" pack
du -h "$pack.tar.gz"
