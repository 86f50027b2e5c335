#!/usr/bin/env bash
# Runs all that can be tested on a GPU alone, and says how long each part takes: the loops, MALIS on 20,000 random
# batches and on crops of a real segmentation where LOSSD_TEST_SEGMENTATION names one, every loss and plan against the
# host, the device's failures, and NVIDIA's sanitizers where they are installed.
#
#   scripts/gpu_test.sh FOLDER      a build with CUDA, or an unpacked archive of gpu_pack.sh
set -euo pipefail
folder=$1
export LOSSD_TEST_DEVICE=${LOSSD_TEST_DEVICE:-cuda:0} OMP_NUM_THREADS=4
[[ -n ${LOSSD_TEST_SEGMENTATION:-} ]] || unset LOSSD_TEST_SEGMENTATION
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0

program() {
  find "$folder" -type f -executable -name "$1" -print -quit
}
step() {
  local start=$SECONDS
  if "${@:2}" >"$log" 2>&1; then
    echo "ok      $1, $((SECONDS - start)) s: $(grep -a '^\[  PASSED\|ERROR SUMMARY' "$log" | tail -1)"
  else
    failed=1
    echo "FAILED  $1"
    tail -40 "$log"
  fi
}

step "loops" "$(program device_loops_test)" --gtest_brief=1
step "sigmoid's bits" "$(program cuda_sigmoid_test)" --gtest_brief=1
step "MALIS, random batches" env LOSSD_TEST_CASES="${LOSSD_TEST_CASES:-20000}" "$(program flat_malis_test)" --gtest_brief=1
step "MALIS, kinds of input" "$(program flat_malis_inputs_test)" --gtest_brief=1
step "every loss" "$(program losses_test)" --gtest_brief=1 '--gtest_filter=*GpuLossTest*:FlatLossTest*'
step "plans" "$(program orchestrator_test)" --gtest_brief=1
step "failures" "$(program gpu_test)" --gtest_brief=1
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck initcheck synccheck; do
    step "$tool" env LOSSD_TEST_CASES=100 compute-sanitizer --tool $tool --error-exitcode 1 \
      "$(program flat_malis_test)" --gtest_brief=1
  done
  for tool in memcheck racecheck; do
    step "$tool, losses" compute-sanitizer --tool $tool --error-exitcode 1 \
      "$(program losses_test)" --gtest_brief=1 '--gtest_filter=*GpuLossTest.IsTheHosts/*:FlatLossTest.NotFinite*'
  done
  # It is slow.
  step racecheck env LOSSD_TEST_CASES=3 compute-sanitizer --tool racecheck --error-exitcode 1 \
    "$(program flat_malis_test)" --gtest_brief=1 '--gtest_filter=*CountsAre*:*WeightsAre*'
fi
exit $failed
