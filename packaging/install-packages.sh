#!/bin/bash
# Installs what building and testing needs on Debian 12. Does nothing where all of it is there; may be run again.
#   packaging/install-packages.sh [build|test]     (test, the default, includes build)
set -euo pipefail

build=(gcc libc6-dev make meson ninja-build pkg-config protobuf-c-compiler protobuf-compiler
	libprotobuf-c-dev libprotobuf-dev libjansson-dev libxxhash-dev)
test=(libcmocka-dev clang clang-format clang-tidy libclang-rt-dev python3 python3-pytest python3-pytest-xdist python3-protobuf
	perl procps util-linux)

wanted=("${build[@]}")
[ "${1:-test}" = build ] || wanted+=("${test[@]}")

missing=()
for package in "${wanted[@]}"; do
	dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
		missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "as root: apt-get install ${missing[*]}" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
echo "installing: ${missing[*]}"
install() {
	apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}" </dev/null >/dev/null
}
# The lists of a fresh machine are empty or old; those of a used one need no update.
install 2>/dev/null || { apt-get update -o DPkg::Lock::Timeout=300 </dev/null >/dev/null && install; }
