// SPDX-License-Identifier: Apache-2.0
// A sum may wrap, so it is spelled checked_add.
// expect-error: no match for .operator\+|invalid operands to binary expression
#include "gnomon/base/address.h"

gnomon::Gva use(gnomon::Gva address) {
#ifdef GNOMON_MUST_FAIL
  return address + 1;
#else
  return address.checked_add(1).value_or(address);
#endif
}
