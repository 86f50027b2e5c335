#!/usr/bin/env bash
# Runs every benchmark of a build tree, one after the other: two at a time would measure each other.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
# Real data for MALIS where there are any, as the .npy file that its benchmark reads.
data=../shared/data/cortex_seg_256.npz
segmentation=
if [[ -f $data ]]; then
  segmentation=$build/bench/segmentation.npy
  .venv/bin/python -c 'import sys, numpy; numpy.save(sys.argv[2], numpy.load(sys.argv[1])["seg"])' \
    "$data" "$segmentation"
fi
for program in "$build"/bench/*_bench; do
  echo "== $(basename "$program")"
  if [[ $(basename "$program") == malis_bench ]]; then
    "$program" ${segmentation:+"$segmentation"}
  else
    "$program"
  fi
done
echo "== step_bench"
.venv/bin/python bench/step_bench.py --server "$build"/server/lossd
echo "== transport_bench"
.venv/bin/python bench/transport_bench.py --build "$build"
