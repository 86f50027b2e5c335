#!/usr/bin/env bash
# Prints the path of a real segmentation as the .npy file that benchmarks and tests read, and makes it in the build folder
# given; nothing where there are no such data.
set -euo pipefail
cd "$(dirname "$0")/.."
data=../shared/data/cortex_seg_256.npz
[[ -f $data ]] || exit 0
segmentation=$1/bench/segmentation.npy
.venv/bin/python -c 'import sys, numpy; numpy.save(sys.argv[2], numpy.load(sys.argv[1])["seg"])' "$data" "$segmentation"
echo "$segmentation"
