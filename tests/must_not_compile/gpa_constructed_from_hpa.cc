// SPDX-License-Identifier: Apache-2.0
// Naming the target kind is not enough; the value must be taken out first.
// expect-error: no matching function for call|no matching conversion
#include "gnomon/base/address.h"

gnomon::Gpa use(gnomon::Hpa host) {
#ifdef GNOMON_MUST_FAIL
  return gnomon::Gpa(host);
#else
  return gnomon::Gpa(host.value());
#endif
}
