// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_REPLAY_NAIVE_TLB_H_
#define TESTS_REPLAY_NAIVE_TLB_H_

// The TLB that the streams of the generators are tested with; naive_tlb.cc compiles it into these
// tests.
#include "tests/generate/naive_tlb.h"

#endif  // TESTS_REPLAY_NAIVE_TLB_H_
