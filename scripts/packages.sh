# Functions about the distribution's packages, for scripts that source this.

as_root() {
  if ((EUID == 0)); then
    "$@"
  else
    command -v sudo >/dev/null || { echo "this needs root: run as root or install sudo" >&2; return 1; }
    sudo "$@"
  fi
}

# install_packages [OPTION...] PACKAGE...
install_packages() {
  as_root apt-get update -qq &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# unpack_packages FOLDER PACKAGE...: with the libraries that are missing. Installed, they would come with services that
# start with the machine.
unpack_packages() {
  local folder=$1 downloads status=0
  downloads=$(mktemp -d)
  mkdir -p "$downloads/partial" "$folder"
  install_packages --download-only -o Dir::Cache::archives="$downloads" -o APT::Sandbox::User=root "${@:2}" >/dev/null &&
    find "$downloads" -name '*.deb' -exec dpkg-deb -x {} "$folder" \; || status=1
  rm -rf "$downloads"
  return $status
}
