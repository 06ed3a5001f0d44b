#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the engine with deliberate defects that can be switched on (CMake option GNOMON_DEFECTS), runs the
# auditor and the differential tester against each, and prints for each one the invariant it breaks, who
# caught it, on which backend, and after how many steps. Exit status 1 if one goes unnoticed.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${GNOMON_BUILD_ROOT:-$root/build}/defects
cmake -S "$root" -B "$build" -G Ninja -DGNOMON_DEFECTS=ON -DGNOMON_BENCH=OFF -DGNOMON_TOOLS=OFF >/dev/null
cmake --build "$build" --target test_defects >&2
"$build/tests/test_defects" --gtest_filter='Defects.EachIsCaughtAndNothingElse'
