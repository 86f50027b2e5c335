#!/usr/bin/env bash
# In a folder that gpu_pack.sh has made: runs a program of it with the LibTorch of this machine's Python.
#
#   ./run PROGRAM [ARGUMENT...]
#
# LOSSD_TEST_SEGMENTATION is set where the folder holds a segmentation.
set -euo pipefail
pack=$(cd "$(dirname "$0")" && pwd)
site_packages=$(python3 -c 'import os, torch; print(os.path.dirname(os.path.dirname(torch.__file__)))')
nvidia=$(printf '%s:' "$site_packages"/nvidia/*/lib)
export LD_LIBRARY_PATH=$pack/lib:$site_packages/torch/lib:$nvidia${LD_LIBRARY_PATH:-}
if [[ -f $pack/cortex_seg_256.npz ]]; then
  export LOSSD_TEST_SEGMENTATION=/tmp/lossd_segmentation.npy
  [[ -f $LOSSD_TEST_SEGMENTATION ]] ||
    python3 -c 'import sys, numpy; numpy.save(sys.argv[2], numpy.load(sys.argv[1])["seg"])' "$pack/cortex_seg_256.npz" "$LOSSD_TEST_SEGMENTATION"
fi
# As it is, for profilers and sanitizers before it: ./run -- compute-sanitizer bin/PROGRAM.
if [[ $1 == -- ]]; then
  cd "$pack"
  exec "${@:2}"
fi
exec "$pack/bin/$1" "${@:2}"
