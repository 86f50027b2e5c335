#!/usr/bin/env bash
# Installs what lossd needs, and says what: packages of the distribution (Debian 12, Ubuntu 24.04; as root or with
# sudo) and the Python environment .venv, which also holds LibTorch. Does nothing when nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/packages.sh

packages=(
  ca-certificates git make                                    # what a clone needs anyway
  cmake ninja-build g++ ccache pkg-config                     # build
  libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
  libabsl-dev libssl-dev openssl libspdlog-dev libyaml-cpp-dev libcli11-dev liblz4-dev
  prometheus-cpp-dev libcivetweb-dev
  libgtest-dev libgmock-dev libbenchmark-dev
  python3 python3-venv
  qemu-user                                                   # tests on a processor without AVX
  patchelf                                                    # wheel and tarball
)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if ((${#missing[@]})); then
  echo "setup: installing packages: ${missing[*]}"
  install_packages "${missing[@]}"
fi

if [[ ! -x .venv/bin/pip ]]; then
  echo "setup: creating .venv"
  python3 -m venv .venv
fi

# A balancer for tests.
haproxy=.venv/haproxy
if [[ ! -d $haproxy && ! -x /usr/sbin/haproxy ]]; then
  echo "setup: unpacking haproxy into $haproxy"
  unpack_packages "$haproxy" haproxy ||
    { rm -rf "$haproxy"; echo "setup: no haproxy, so the tests of a balancer will be skipped" >&2; }
fi

# A stamp of what was installed: pip itself takes seconds to find out that nothing is missing.
stamp=.venv/lossd-requirements.sha256
wanted=$(sha256sum requirements.txt client/python/pyproject.toml)
if [[ "$(cat $stamp 2>/dev/null)" != "$wanted" ]]; then
  echo "setup: installing the Python packages of requirements.txt into .venv (LibTorch among them: 5 GB)"
  .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
  .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e client/python
  echo "$wanted" >$stamp
fi
