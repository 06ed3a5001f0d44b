// SPDX-License-Identifier: Apache-2.0
// There is no distance between a guest and a host address.
// expect-error: no matching function for call to .offset_between
#include "gnomon/base/address.h"

uint64_t use(gnomon::Gpa guest, gnomon::Hpa host) {
#ifdef GNOMON_MUST_FAIL
  return offset_between(guest, host).value_or(0);
#else
  return offset_between(guest, gnomon::Gpa(host.value())).value_or(0);
#endif
}
