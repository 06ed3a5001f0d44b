// SPDX-License-Identifier: Apache-2.0
//
// A program outside the project: it sees installed headers only.
#include <iostream>

#include "gnomon/base/address.h"
#include "gnomon/version.h"

int main() {
  std::cout << "gnomon " << gnomon::version() << "\n";

  const gnomon::Gva start{0x1000};
  const auto next = start.checked_add(8);
  if (!next || offset_between(start, *next) != 8) return 1;
  std::cout << to_string(*next) << "\n";
  return 0;
}
