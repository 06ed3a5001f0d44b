// SPDX-License-Identifier: Apache-2.0
#ifndef TRACES_REPLAY_STEPS_H_
#define TRACES_REPLAY_STEPS_H_

#include <array>

#include "gnomon/traces/record.h"
#include "gnomon/x86/access.h"

namespace gnomon {

/// What a record of each kind does.
struct Steps {
  AccessOp first;
  bool then_store;
};
/// Indexed by RecordKind.
inline constexpr std::array<Steps, 4> kSteps = {{
    {AccessOp::kFetch, false},
    {AccessOp::kRead, false},
    {AccessOp::kWrite, false},
    {AccessOp::kRead, true},
}};

}  // namespace gnomon

#endif  // TRACES_REPLAY_STEPS_H_
