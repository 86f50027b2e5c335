#!/usr/bin/env bash
# All static checks. Every one runs, so that one pass shows everything; the exit status tells whether all passed.
set -uo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
failed=()

check() {  # check NAME COMMAND...
  echo "lint: $1"
  "${@:2}" || failed+=("$1")
}

breaking() {
  # The contract of main; a clone of another branch may not have it.
  git rev-parse --quiet --verify main:proto >/dev/null || { echo "  no main here: skipped"; return 0; }
  local base status
  base=$(mktemp -d)
  git archive main buf.yaml proto | tar -x -C "$base"
  $bin/buf breaking --against "$base"
  status=$?
  rm -rf "$base"
  return $status
}

scripts/generate_python.sh  # mypy and ruff look at the package as it is installed.

check clang-format $bin/clang-format --dry-run -Werror $(git ls-files '*.cc' '*.h' '*.cu' '*.cuh')
check clang-tidy scripts/tidy.sh
check buf-lint $bin/buf lint
check buf-format $bin/buf format --diff --exit-code proto
check buf-breaking breaking
check ruff $bin/ruff check --quiet client/python tests/python demo
check ruff-format $bin/ruff format --quiet --check client/python tests/python demo
check mypy $bin/mypy --strict client/python/src/lossd demo tests/python

if ((${#failed[@]})); then
  echo "lint: failed: ${failed[*]}" >&2
  exit 1
fi
echo "lint: all passed"
