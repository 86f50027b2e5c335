#!/usr/bin/env bash
# Static checks: those named, else all. Each of them runs, so that one pass shows everything; the exit status tells
# whether all passed.
set -uo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
python=(client/python tests/python tests/ops tests/fuzz demo bench scripts deploy/slurm/find_servers)
checks=(clang-format clang-tidy buf-lint buf-format buf-breaking ruff ruff-format mypy)

run() {
  case $1 in
    clang-format) $bin/clang-format --dry-run -Werror $(git ls-files '*.cc' '*.h' '*.cu' '*.cuh') ;;
    # The analyzer of paths takes as long as all the rest: `make tidy` runs it, too.
    clang-tidy) scripts/tidy.sh '--checks=-clang-analyzer-*' ;;
    buf-lint) $bin/buf lint ;;
    buf-format) $bin/buf format --diff --exit-code proto ;;
    buf-breaking) breaking ;;
    ruff) $bin/ruff check --quiet "${python[@]}" ;;
    ruff-format) $bin/ruff format --quiet --check "${python[@]}" ;;
    # It looks at the package as it is installed, stubs included.
    mypy) scripts/generate_python.sh && $bin/mypy --strict client/python/src/lossd demo tests/python tests/ops tests/fuzz bench scripts &&
        $bin/mypy --strict deploy/slurm/find_servers ;;
    *) echo "  no such check: there are ${checks[*]}" >&2; return 1 ;;
  esac
}

breaking() {
  # The contract as it was frozen: at the last change of proto/FROZEN; a shallow clone may not have it.
  local frozen base status
  frozen=$(git log -1 --format=%H -- proto/FROZEN)
  [[ -n $frozen ]] || { echo "  no history of proto/FROZEN here: skipped"; return 0; }
  base=$(mktemp -d)
  git archive "$frozen" buf.yaml proto | tar -x -C "$base"
  $bin/buf breaking --against "$base"
  status=$?
  rm -rf "$base"
  return $status
}

failed=()
(($#)) || set -- "${checks[@]}"
for check in "$@"; do
  start=$SECONDS
  run "$check" || failed+=("$check")
  echo "lint: $check: $((SECONDS - start)) s"
done
if ((${#failed[@]})); then
  echo "lint: failed: ${failed[*]}" >&2
  exit 1
fi
echo "lint: all passed"
