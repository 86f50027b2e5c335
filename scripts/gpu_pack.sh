#!/usr/bin/env bash
# Gathers what a machine with a GPU needs to run the tests and benchmarks of a build with CUDA, if it has LibTorch of the
# same version in its Python and nothing else: programs, and the shared libraries that they need beyond LibTorch, CUDA
# and the C library. There:
#
#   tar -xzf pack.tar.gz && pack/run test        what gpu_test.sh tests
#   pack/run gpu_bench                           what gpu_bench measures; the server is pack/run lossd
#
#   scripts/gpu_pack.sh [build/cuda]             makes build/cuda/pack.tar.gz
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/cuda}
pack=$build/pack
programs=(src/lossd/malis/device_loops_test src/lossd/malis/flat_malis_test src/lossd/malis/flat_malis_inputs_test
          src/lossd/sweep/cuda_sigmoid_test src/lossd/losses/losses_test src/lossd/compute/orchestrator_test
          server/gpu_test server/lossd client/cpp/lossctl bench/gpu_bench)

rm -rf "$pack"
mkdir -p "$pack"/{bin,lib}
for program in "${programs[@]}"; do
  strip -o "$pack/bin/$(basename "$program")" "$build/$program"
done
ldd "${programs[@]/#/$build/}" | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
  grep -vE '/(torch/lib|nvidia)/|/lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+)\.so' | xargs -r cp -L -t "$pack/lib"
[[ ! -f ../shared/data/cortex_seg_256.npz ]] || cp ../shared/data/cortex_seg_256.npz "$pack"
cp scripts/gpu_pack_run.sh "$pack/run"
cp scripts/gpu_test.sh "$pack"
tar -C "$build" -czf "$pack.tar.gz" pack
du -h "$pack.tar.gz"
