#!/usr/bin/env bash
# Gathers what a machine without this checkout needs to run the server and lossctl, if it has the C library of this one or
# a newer one: bin/, libexec/, lib/ with the shared libraries, licenses/ with their terms, and sbom.cdx.json, which lists
# them. The folder may lie anywhere.
#
#   scripts/pack.sh BUILD FOLDER [--without-libtorch] [--base=LIST]
#
# Without LibTorch the programs find it where LD_LIBRARY_PATH says. LIST has the packages of an image that it will lie in,
# as `dpkg-query --show` writes them: sbom.cdx.json lists these, too.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1 pack=$2
libtorch=with base=
for option in "${@:3}"; do
  case $option in
    --without-libtorch) libtorch=without ;;
    --base=*) base=${option#*=} ;;
    *) echo "pack.sh: no such option: $option" >&2; exit 2 ;;
  esac
done

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

# Of PyPI's packages, those that have a library which is needed.
distributions=()
if [[ $libtorch == with ]]; then
  site=$(echo .venv/lib/python3*/site-packages)
  needed=$(libraries /site-packages/)
  # What LibTorch loads when an operator is compiled at run time.
  [[ $needed != */libtorch_cuda.so* ]] ||
    needed+=$'\n'$(find -L "$site/torch/lib/libcaffe2_nvrtc.so" "$site"/nvidia/cu13/lib/libnvrtc{,-builtins}.so.*)
  xargs cp -L -t "$pack/lib" <<<"$needed"
  names=$(sed 's,.*/site-packages/,,' <<<"$needed" | sed 's,^torch/lib/\.\./\.\./,,')
  mapfile -t distributions < <(grep -lFf <(sed 's/$/,/' <<<"$names") "$site"/*.dist-info/RECORD | xargs -n1 dirname)
  for distribution in "${distributions[@]}"; do
    name=$(basename "$distribution")
    find "$distribution" -iname 'license*' -type f -exec cp {} "$pack/licenses/${name%%-*}.txt" \;
  done
fi

{
  # shellcheck disable=SC2086
  dpkg-query --show --showformat '${binary:Package} ${Version}\n' $packages | cat - ${base:+"$base"} | while read -r name version; do
    echo "deb ${name%%:*} $version /usr/share/doc/${name%%:*}/copyright"
  done
  for distribution in "${distributions[@]}"; do
    name=$(basename "$distribution" .dist-info)
    echo "pypi ${name%%-*} ${name#*-} $distribution/METADATA"
  done
} | python3 scripts/sbom.py "$("$build/client/cpp/lossctl" --version)" >"$pack/sbom.cdx.json"

# Of the programs, and passed on to the libraries: these find each other by it.
patchelf --force-rpath --set-rpath '$ORIGIN/../lib' "$pack"/{bin,libexec}/*
