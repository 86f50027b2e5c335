#!/usr/bin/env bash
# Compares the flat MALIS with the engine and the oracle on many random volumes, and on crops of a real segmentation where
# there is one. The build folder may be given; LOSSD_TEST_DEVICE=cuda:0 tests that device, in a build with CUDA.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
segmentation=$(scripts/segmentation.sh "$build")
LOSSD_TEST_CASES=20000 "$build/src/lossd/malis/flat_malis_test" --gtest_brief=1
env ${segmentation:+LOSSD_TEST_SEGMENTATION="$segmentation"} "$build/src/lossd/malis/flat_malis_inputs_test" --gtest_brief=1
