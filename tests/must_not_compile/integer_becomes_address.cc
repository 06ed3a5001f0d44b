// SPDX-License-Identifier: Apache-2.0
// An integer does not say which kind of address it is.
// expect-error: conversion from .* to non-scalar type|could not convert|no viable conversion
#include "gnomon/base/address.h"

gnomon::Gva use(uint64_t raw) {
#ifdef GNOMON_MUST_FAIL
  gnomon::Gva address = raw;
#else
  gnomon::Gva address(raw);
#endif
  return address;
}
