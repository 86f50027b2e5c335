#!/usr/bin/env bash
# Runs deploy/kubernetes on a real cluster of one node, as root: Kubernetes is built from Debian's source package into
# .ops/kubernetes (at the first time, eight minutes of a core), with etcd and containerd beside it.
# tests/ops/test_real_kubernetes.py says what is done there, and what of the manifests is rewritten for that old version.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/packages.sh

scripts/ops_tools.sh
folder=$PWD/.ops/kubernetes
if [[ ! -e $folder/bin/kubectl ]]; then
  rm -rf "$folder"
  echo "kubernetes: unpacking etcd, containerd and Go into .ops/kubernetes/root"
  unpack_packages "$folder/root" golang-go etcd-server containerd containernetworking-plugins

  echo "kubernetes: getting its source"
  mkdir -p "$folder"/{lists/partial,cache/archives/partial,go/src/k8s.io}
  echo "deb-src http://deb.debian.org/debian bookworm main" >"$folder/sources.list"
  apt=(as_root apt-get -qq -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o Dir::State::Lists="$folder/lists" -o Dir::Cache="$folder/cache" -o APT::Sandbox::User=root)
  "${apt[@]}" update
  (cd "$folder" && "${apt[@]}" source --download-only kubernetes && dpkg-source --no-check -x kubernetes_*.dsc go/src/k8s.io/kubernetes) >/dev/null

  echo "kubernetes: building it"
  export GOROOT="$folder/root/usr/lib/go-1.19" GOPATH="$folder/go" GOCACHE="$folder/gocache" GO111MODULE=off CGO_ENABLED=0
  cd "$folder/go/src/k8s.io/kubernetes"
  build=(nice "$GOROOT/bin/go" build -o "$folder/bin/" -ldflags "-s -w")
  # The only generated code that the package leaves out.
  mkdir -p "$folder/bin"
  "${build[@]}" k8s.io/kubernetes/vendor/k8s.io/kube-openapi/cmd/openapi-gen
  described=$(grep -rl --include='*.go' '+k8s:openapi-gen=' vendor/k8s.io/*/ pkg | xargs -n1 dirname | LC_ALL=C sort -u |
    grep -vE 'k8s.io/(code-generator|sample-apiserver|kube-openapi|gengo)/')
  "$folder/bin/openapi-gen" -i "$(sed 's|^|k8s.io/kubernetes/|' <<<"$described" | paste -sd,)" -O zz_generated.openapi \
    -p k8s.io/kubernetes/pkg/generated/openapi -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r "$folder/violations"
  # The last one says that all are there.
  "${build[@]}" k8s.io/kubernetes/cmd/kube-{apiserver,controller-manager,scheduler}
  "${build[@]}" k8s.io/kubernetes/cmd/{kubelet,kubectl}
  cd - >/dev/null
  rm -rf "$folder"/{go,gocache,cache,lists,kubernetes_*}
fi
.venv/bin/python -m pytest tests/ops/test_real_kubernetes.py -rsP "$@"
