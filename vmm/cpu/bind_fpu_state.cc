// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/decode.h"

namespace gnomon::vmm {

absl::Span<const Binding> fpu_state_bindings() { return {}; }

}  // namespace gnomon::vmm
