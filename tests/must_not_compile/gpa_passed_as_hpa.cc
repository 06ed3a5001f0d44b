// SPDX-License-Identifier: Apache-2.0
// A guest-physical address is not a host-physical one.
// expect-error: could not convert|cannot convert|no matching function|no viable conversion
#include "gnomon/base/address.h"

namespace {

uint64_t read_host(gnomon::Hpa where) { return where.value(); }

}  // namespace

uint64_t use(gnomon::Gpa guest) {
#ifdef GNOMON_MUST_FAIL
  return read_host(guest);
#else
  return read_host(gnomon::Hpa(guest.value()));
#endif
}
