// SPDX-License-Identifier: Apache-2.0
#include "tests/replay/naive_tlb.h"

// A folder of tests is an executable of its own, so that nothing else brings this in.
#include "tests/generate/naive_tlb.cc"  // NOLINT(bugprone-suspicious-include)
