// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TESTS_RECORD_NEED_VALGRIND_H_
#define GNOMON_TESTS_RECORD_NEED_VALGRIND_H_

#include <gtest/gtest.h>

#include "traces/record/locate.h"

/// Skips the test, with the reason, where programs cannot be recorded.
#define NEED_VALGRIND()                                                             \
  do {                                                                              \
    const auto valgrind = gnomon::recording::find_valgrind();                       \
    if (!valgrind.ok()) GTEST_SKIP() << "skipped: " << valgrind.status().message(); \
    const auto tool = gnomon::recording::find_tool("");                             \
    if (!tool.ok()) GTEST_SKIP() << "skipped: " << tool.status().message();         \
  } while (false)

#endif  // GNOMON_TESTS_RECORD_NEED_VALGRIND_H_
