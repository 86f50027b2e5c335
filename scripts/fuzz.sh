#!/usr/bin/env bash
# Feeds what reads bytes from outside with bytes that libFuzzer makes up from those in tests/fuzz/corpus: each target for
# so many seconds. A finding ends it; the input is in build/fuzz/findings.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/packages.sh
seconds=${1:-600}

if [[ ! -x /usr/bin/clang++-16 || ! -d /usr/lib/llvm-16/lib/clang/16/lib/linux ]]; then
  echo "fuzz: installing packages: clang-16 libclang-rt-16-dev"
  install_packages clang-16 libclang-rt-16-dev
fi
cmake --preset fuzz -Wno-dev >/dev/null
cmake --build --preset fuzz --target fuzzers
mkdir -p build/fuzz/findings
for corpus in tests/fuzz/corpus/*; do
  name=$(basename "$corpus")
  found=build/fuzz/corpus/$name
  mkdir -p "$found"
  echo "fuzz: $name for $seconds s"
  OMP_NUM_THREADS=1 "build/fuzz/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 \
    -artifact_prefix="build/fuzz/findings/$name-" -print_final_stats=1 "$found" "$corpus" 2>"$found.log" ||
    { tail -n 40 "$found.log" >&2; exit 1; }
  grep -E 'number_of_executed_units|cov:' "$found.log" | tail -n 2
done
