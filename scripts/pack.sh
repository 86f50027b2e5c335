#!/usr/bin/env bash
# Gathers what a machine without this checkout needs to run the server and lossctl, if it has the C library of this one or
# a newer one: bin/, libexec/, lib/ with the shared libraries, licenses/ with their terms. The folder may lie anywhere.
#
#   scripts/pack.sh BUILD FOLDER [--without-libtorch]
#
# Without LibTorch the programs find it where LD_LIBRARY_PATH says.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1 pack=$2 libtorch=${3:-}

rm -rf "$pack"
cmake --install "$build" --component programs --strip --prefix "$pack" >/dev/null
mkdir -p "$pack"/{lib,licenses}

# libraries PATTERN: what the programs need of the libraries that match, and no others.
libraries() {
  ldd "$build/server/lossd" "$build/client/cpp/lossctl" "$build/client/libexec/lossctl-tensors" | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u | grep -E "$@"
}

glibc='/(ld-linux-.*|lib(c|m|dl|rt|pthread|util|resolv))\.so'
system=$(libraries -v "/site-packages/|$glibc")
xargs cp -L -t "$pack/lib" <<<"$system"
# The files of a package may be listed with or without the /usr that Debian has merged.
packages=$(xargs realpath <<<"$system" | sed 's,^\(/usr\)\?,*,' | xargs dpkg-query --search | cut -d: -f1 | sort -u)
for package in $packages; do
  cp "/usr/share/doc/$package/copyright" "$pack/licenses/$package.txt"
done
cp LICENSE "$pack/licenses/lossd.txt"

if [[ $libtorch != --without-libtorch ]]; then
  libraries /site-packages/ | xargs cp -L -t "$pack/lib"
  for distribution in .venv/lib/python3*/site-packages/{torch,nvidia_cuda_runtime,nvidia_cuda_cupti}-*.dist-info; do
    name=$(basename "$distribution")
    find "$distribution" -iname 'license*' -type f -exec cp {} "$pack/licenses/${name%%-*}.txt" \;
  done
fi

# Of the programs, and passed on to the libraries: these find each other by it.
patchelf --force-rpath --set-rpath '$ORIGIN/../lib' "$pack"/{bin,libexec}/*
