// SPDX-License-Identifier: Apache-2.0
// Address zero is an address like any other.
// expect-error: could not convert|is not contextually convertible
#include "gnomon/base/address.h"

bool use(gnomon::Gpa address) {
#ifdef GNOMON_MUST_FAIL
  if (address) return true;
#else
  if (address.value() != 0) return true;
#endif
  return false;
}
