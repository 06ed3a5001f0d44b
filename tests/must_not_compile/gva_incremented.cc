// SPDX-License-Identifier: Apache-2.0
// An address is not a counter.
// expect-error: no match for .operator\+\+|cannot increment value of type
#include "gnomon/base/address.h"

void use(gnomon::Gva address) {
#ifdef GNOMON_MUST_FAIL
  ++address;
#else
  static_cast<void>(address);
#endif
}
