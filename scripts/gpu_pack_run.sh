#!/usr/bin/env bash
# In a folder that gpu_pack.sh has made: runs a program of it, or its tests, with the LibTorch of this machine's Python.
#
#   ./run test | PROGRAM [ARGUMENT...] | -- COMMAND [ARGUMENT...]
set -euo pipefail
pack=$(cd "$(dirname "$0")" && pwd)
site_packages=$(python3 -c 'import os, torch; print(os.path.dirname(os.path.dirname(torch.__file__)))')
export LD_LIBRARY_PATH=$pack/lib:$site_packages/torch/lib:$(printf '%s:' "$site_packages"/nvidia/*/lib)${LD_LIBRARY_PATH:-}
if [[ -f $pack/cortex_seg_256.npz ]]; then
  export LOSSD_TEST_SEGMENTATION=$pack/segmentation.npy
  [[ -f $LOSSD_TEST_SEGMENTATION ]] ||
    python3 -c 'import sys, numpy; numpy.save(sys.argv[2], numpy.load(sys.argv[1])["seg"])' \
      "$pack/cortex_seg_256.npz" "$LOSSD_TEST_SEGMENTATION"
fi
case $1 in
  --) exec "${@:2}" ;;
  test) exec "$pack/gpu_test.sh" "$pack" ;;
  gpu_bench) exec "$pack/bin/gpu_bench" ${LOSSD_TEST_SEGMENTATION:+"$LOSSD_TEST_SEGMENTATION"} "${@:2}" ;;
  *) exec "$pack/bin/$1" "${@:2}" ;;
esac
