#!/usr/bin/env bash
# Gathers what a machine with a GPU needs to run the tests and benchmarks of a build with CUDA, if it has LibTorch of the
# same version in its Python and nothing else: programs, and the shared libraries that they need beyond LibTorch, CUDA
# and the C library. The folder's `run` starts one of the programs there.
#
#   scripts/gpu_pack.sh [build/cuda [FOLDER]]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/cuda}
pack=${2:-$build/pack}
programs=(src/lossd/malis/device_loops_test src/lossd/malis/flat_malis_test src/lossd/malis/flat_malis_inputs_test
          src/lossd/sweep/cuda_sigmoid_test src/lossd/losses/losses_test src/lossd/compute/orchestrator_test bench/gpu_bench)
[[ -n ${GPU_PACK_PROGRAMS:-} ]] && read -ra programs <<<"$GPU_PACK_PROGRAMS"

rm -rf "$pack"
mkdir -p "$pack"/{bin,lib}
for program in "${programs[@]}"; do
  strip -o "$pack/bin/$(basename "$program")" "$build/$program"
done
ldd "${programs[@]/#/$build/}" | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
  grep -vE '/(torch/lib|nvidia)/|/lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+)\.so' | xargs -r cp -L -t "$pack/lib"
[[ -f ../shared/data/cortex_seg_256.npz ]] && cp ../shared/data/cortex_seg_256.npz "$pack"
cp scripts/gpu_pack_run.sh "$pack/run"
du -sh "$pack"
