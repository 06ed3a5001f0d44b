// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_RANK_H_
#define TOOLS_RANK_H_

#include <cstdint>
#include <string>

#include "gnomon/replay/session.h"

// How the backends of one replay stand to each other, for tables.

namespace gnomon::tools {

/// Counted references of all kinds.
uint64_t references_of(const SessionResult& result);
/// Cycles over them.
double per_reference(const SessionResult& result, double cycles);

/// The smallest change of what exits cost that moves a backend past another one: "2.5 shadow", or
/// "-".
std::string nearest_flip(const SessionResult& result, const ReplayResult& backend);

/// Whether no other backend that virtualizes takes fewer cycles. Where there are not two of them to
/// compare: false.
bool is_cheapest(const SessionResult& result, const ReplayResult& backend);

}  // namespace gnomon::tools

#endif  // TOOLS_RANK_H_
