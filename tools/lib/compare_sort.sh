#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The demonstration behind `tools/run`: records sort(1) at work on a generated file with valgrind and
# replays the recording at once, in four processes that take turns; nothing of it is stored. Options are
# handed on to `gnomon compare`. GNOMON_DEMO_LINES (5000) sets the length of the file.
#
# Exit status: that of `gnomon compare`; 2 when the recording could not be made.
set -euo pipefail

gnomon=${GNOMON_BIN:?set GNOMON_BIN to the gnomon program}
lines=${GNOMON_DEMO_LINES:-5000}

command -v valgrind >/dev/null || {
  echo "compare_sort: valgrind is not installed" >&2
  exit 2
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
input=$scratch/numbers

# The same numbers everywhere: a linear congruential generator, in integers that awk holds exactly.
awk -v lines="$lines" 'BEGIN {
  x = 1
  for (i = 0; i < lines; ++i) {
    x = (x * 16807) % 2147483647
    printf "%d %d\n", x, i
  }
}' >"$input"

echo "recording \`sort\` of $lines lines with valgrind and replaying it; takes a while" >&2

# Descriptor 9 carries the recording into the pipe. An empty environment keeps the stack of the
# program, and so its addresses, the same from run to run.
record() {
  (
    cd "$scratch"
    exec env -i LC_ALL=C PATH="$PATH" \
      valgrind --tool=lackey --trace-mem=yes --log-fd=9 \
      sort --parallel=1 -S 1M numbers 9>&1 >/dev/null
  )
}

set +e
record 2>"$scratch/errors" | "$gnomon" compare - --processes 4 "$@"
status=("${PIPESTATUS[@]}")
set -e
if [ "${status[1]}" != 0 ]; then exit "${status[1]}"; fi
# A recorder whose reader stopped early (--limit) dies of a broken pipe, which is no failure.
if [ "${status[0]}" != 0 ] && [ "${status[0]}" != 141 ]; then
  cat "$scratch/errors" >&2
  echo "compare_sort: valgrind failed (status ${status[0]})" >&2
  exit 2
fi
