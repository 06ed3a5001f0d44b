// SPDX-License-Identifier: Apache-2.0
// Leaving the type is visible: value().
// expect-error: cannot convert|no viable conversion
#include "gnomon/base/address.h"

uint64_t use(gnomon::Gpa address) {
#ifdef GNOMON_MUST_FAIL
  uint64_t raw = address;
#else
  uint64_t raw = address.value();
#endif
  return raw;
}
