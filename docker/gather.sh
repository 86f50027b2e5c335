#!/usr/bin/env bash
# Gathers programs, and the shared libraries that they need beyond the C library: bin/ and lib/ of a folder.
#
#   docker/gather.sh FOLDER PROGRAM...
set -euo pipefail
folder=$1
shift
mkdir -p "$folder"/{bin,lib}
for program in "$@"; do
  strip -o "$folder/bin/$(basename "$program")" "$program"
done
ldd "$@" | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
  grep -vE '/(ld-linux-.*|lib(c|m|dl|rt|pthread|util|resolv))\.so' | xargs cp -L -t "$folder/lib"
