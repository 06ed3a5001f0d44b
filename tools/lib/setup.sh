# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Sourced by tools/run and tools/test. Prints go to stderr; failures exit with status 2.

repo=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
build_root=${GNOMON_BUILD_ROOT:-$repo/build}
# shellcheck disable=SC2034  # for the scripts that source this one
jobs=${GNOMON_JOBS:-$(nproc)}

# One compiler cache for every checkout: paths below the repository count relative to it.
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$repo} CCACHE_NOHASHDIR=${CCACHE_NOHASHDIR:-1}

die() {
  echo "${0##*/}: $*" >&2
  exit 2
}

# The packages of the given groups, one a line.
packages_of() {
  local package group rest wanted
  while read -r package group rest; do
    case $package in '' | '#'*) continue ;; esac
    for wanted in "$@"; do
      if [ "$group" = "$wanted" ]; then echo "$package"; fi
    done
  done <"$repo/tools/packages.txt"
}

# Installs what is missing of the given groups. GNOMON_SKIP_SETUP=1 goes on with what is there.
install_packages() {
  [ "${GNOMON_SKIP_SETUP:-0}" != 1 ] || return 0
  local package status missing=() wanted=()
  mapfile -t wanted < <(packages_of "$@")
  if ! { command -v dpkg-query && command -v apt-get; } >/dev/null; then
    die "not a Debian system; install the equivalents of: ${wanted[*]} (then set GNOMON_SKIP_SETUP=1)"
  fi
  for package in "${wanted[@]}"; do
    # shellcheck disable=SC2016  # the braces are dpkg's, not the shell's
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || status=
    [ "$status" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0

  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    if ! { command -v sudo && sudo -n true; } >/dev/null 2>&1; then
      die "missing packages: ${missing[*]} (run as root: apt-get install ${missing[*]})"
    fi
    as_root=(sudo)
  fi
  as_root+=(env DEBIAN_FRONTEND=noninteractive)
  echo "installing ${missing[*]}" >&2
  local log
  log=$(mktemp)
  if ! { "${as_root[@]}" apt-get update -q &&
    "${as_root[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    rm -f "$log"
    die "cannot install: ${missing[*]}"
  fi
  rm -f "$log"
}

# configure PRESET [cmake arguments]: configures $build_root/PRESET.
configure() {
  local preset=$1
  shift
  (cd "$repo" && cmake --preset "$preset" -B "$build_root/$preset" "$@")
}
