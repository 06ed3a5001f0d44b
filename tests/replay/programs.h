// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_REPLAY_PROGRAMS_H_
#define TESTS_REPLAY_PROGRAMS_H_

#include <string>
#include <vector>

#include "tests/replay/support.h"

namespace gnomon::replay_test {

struct NamedScript {
  std::string name;
  Script script;
};

/// Programs that do what real ones do to their address spaces, and then some.
std::vector<NamedScript> programs();

}  // namespace gnomon::replay_test

#endif  // TESTS_REPLAY_PROGRAMS_H_
