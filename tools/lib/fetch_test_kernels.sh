#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: fetch_test_kernels.sh FOLDER
#
# Puts real guests for tests/real_guests into FOLDER: Debian's kernel for virtual machines, memtest86+ and a static
# busybox, out of their packages. Nothing is installed. What is there already stays. Without a network or
# apt it says so and succeeds: the tests that miss a file are skipped.
set -euo pipefail

folder=${1:?usage: fetch_test_kernels.sh FOLDER}
mkdir -p "$folder"
folder=$(cd -- "$folder" && pwd)

give_up() {
  echo "fetch_test_kernels.sh: $*; tests of real guests may be skipped" >&2
  exit 0
}

# "file package path-in-package": the package `kernel` stands for the one that linux-image-cloud-amd64 depends on,
# and a * in a path for the kernel's release.
wanted=(
  "vmlinuz kernel ./boot/vmlinuz-*"
  "memtest86+x64.bin memtest86+ ./boot/memtest86+x64.bin"
  "memtest86+ia32.bin memtest86+ ./boot/memtest86+ia32.bin"
  "busybox busybox-static ./*bin/busybox"
)

missing=()
for row in "${wanted[@]}"; do
  [ -s "$folder/${row%% *}" ] || missing+=("$row")
done
[ ${#missing[@]} -gt 0 ] || exit 0
{ command -v apt-get && command -v apt-cache && command -v dpkg-deb; } >/dev/null || give_up "no apt here"

work=$(mktemp -d "$folder/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
apt=(timeout 300 apt-get -q -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o APT::Sandbox::User=root)

if ! apt-cache show memtest86+ >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  "${apt[@]}" update >"$work/log" 2>&1 || give_up "apt-get update fails"
fi

# package NAME: the path of its file, downloaded once.
package() {
  local name=$1
  if [ "$name" = kernel ]; then
    name=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
      sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
    [ -n "$name" ] || return 1
  fi
  mkdir -p "$work/$name"
  if [ -z "$(ls "$work/$name")" ]; then
    (cd "$work/$name" && "${apt[@]}" download "$name") >"$work/log" 2>&1 || return 1
  fi
  ls "$work/$name"/*.deb
}

for row in "${missing[@]}"; do
  read -r file name path <<<"$row"
  deb=$(package "$name") || give_up "cannot download the package for $file"
  dpkg-deb --fsys-tarfile "$deb" >"$work/data.tar"
  tar -x -O -f "$work/data.tar" --wildcards "$path" >"$work/$file" || give_up "$deb has no $path"
  chmod +x "$work/$file"
  mv "$work/$file" "$folder/$file"
  echo "$file from ${deb##*/}" >>"$folder/versions.txt"
done
