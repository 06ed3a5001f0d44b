// SPDX-License-Identifier: Apache-2.0
// Only a translator turns one kind of address into another.
// expect-error: no match for .operator=|no viable overloaded .=
#include "gnomon/base/address.h"

gnomon::Gpa use(gnomon::Hpa host) {
  gnomon::Gpa guest;
#ifdef GNOMON_MUST_FAIL
  guest = host;
#else
  guest = gnomon::Gpa(host.value());
#endif
  return guest;
}
