#!/usr/bin/env bash
# Runs the benchmarks of a build tree, one after the other: two at a time would measure each other. All of them, or
# those named; at the end come the figures that have a limit.
#
#   scripts/bench.sh [build/release [NAME...]]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
names=("${@:2}")
if ((${#names[@]} == 0)); then
  names=($(basename -a "$build"/bench/*_bench bench/*_bench.py))
fi
# The benchmarks in Python use parts of the demo and of the tests.
export PYTHONPATH=demo:tests/python:tests/ops/lib${PYTHONPATH:+:$PYTHONPATH}

run() {
  local name=${1%.py}
  echo "== $name"
  if [[ -f bench/$name.py ]]; then
    .venv/bin/python "bench/$name.py" --build "$build"
  elif [[ $name == malis_bench ]]; then
    malis_bench
  else
    "$build/bench/$name"
  fi
}

malis_bench() {
  local segmentation
  segmentation=$(scripts/segmentation.sh "$build")
  "$build/bench/malis_bench" ${segmentation:+"$segmentation"}
}

output=$(mktemp)
trap 'rm -f "$output"' EXIT
for name in "${names[@]}"; do
  run "$name" | tee -a "$output"
done
if grep -q '^figure' "$output"; then
  echo "== figures"
  grep '^figure' "$output" | sort -V
fi
