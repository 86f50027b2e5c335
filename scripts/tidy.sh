#!/usr/bin/env bash
# clang-tidy over every C++ source, with the options given: minutes the first time, then only what changed.
set -uo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin

tidy() {
  # clang cannot read g++'s precompiled headers, so it gets a build tree of its own, of which only the generated code
  # is built.
  cmake --preset release -B build/lint -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON -DCMAKE_CXX_COMPILER_LAUNCHER= -Wno-dev \
    >/dev/null && cmake --build build/lint --target lossd_generated >/dev/null || return 1
  # A file that passed is not checked again until it, a header or the rules change.
  local stamps=build/lint/tidy headers
  mkdir -p $stamps
  headers=$( (echo "$*"; git ls-files '*.h' '*.proto' .clang-tidy requirements.txt cmake | xargs cat) | sha256sum)
  # What compilers warn of is for the build to say: clang would also warn of what g++ has in its headers.
  git ls-files '*.cc' | xargs -P "$(nproc)" -I{} bash -c '
    key=$( (echo "$1"; cat "$0") | sha256sum | cut -c1-64)
    [[ -e $2/$key ]] && exit 0
    grep -q "\"file\": \".*/$0\"" build/lint/compile_commands.json || exit 0
    '$bin'/clang-tidy --quiet -p build/lint --extra-arg=-Wno-error '"$*"' "$0" 2>/dev/null && touch "$2/$key"' {} "$headers" "$stamps"
}

tidy "$@"
