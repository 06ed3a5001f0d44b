// SPDX-License-Identifier: Apache-2.0
// A difference may be negative, so it is spelled offset_between.
// expect-error: no match for .operator-|invalid operands to binary expression
#include "gnomon/base/address.h"

uint64_t use(gnomon::Gva from, gnomon::Gva to) {
#ifdef GNOMON_MUST_FAIL
  return to - from;
#else
  return offset_between(from, to).value_or(0);
#endif
}
