#!/usr/bin/env bash
# Makes an archive that runs wherever it is unpacked, without Python: the server and lossctl with all they need but the C
# library.
#
#   scripts/tarball.sh BUILD FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1 folder=$2
version=$("$build/client/cpp/lossctl" --version)
name=lossd-$version-linux-$(uname -m)

scripts/pack.sh "$build" "$build/pack/$name"
mkdir "$build/pack/$name/docs"
cp docs/{server,security,shared-memory}.md CHANGELOG.md "$build/pack/$name/docs"
mkdir -p "$folder"
tar --create --gzip --directory "$build/pack" --owner=0 --group=0 --sort=name --file "$folder/$name.tar.gz" "$name"
rm -r "$build/pack/$name"
echo "$folder/$name.tar.gz: $(du -h "$folder/$name.tar.gz" | cut -f1)"
