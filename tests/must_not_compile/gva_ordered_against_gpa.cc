// SPDX-License-Identifier: Apache-2.0
// Addresses of different kinds have no order and no equality.
// expect-error: no match for .operator<|invalid operands to binary expression
#include "gnomon/base/address.h"

bool use(gnomon::Gva virtual_address, gnomon::Gpa physical_address) {
#ifdef GNOMON_MUST_FAIL
  return virtual_address < physical_address;
#else
  return virtual_address < gnomon::Gva(physical_address.value());
#endif
}
