// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_X86_ACCESS_H_
#define GNOMON_X86_ACCESS_H_

#include <cstdint>
#include <string>

namespace gnomon {

enum class AccessOp : uint8_t { kRead, kWrite, kFetch };

/// Who accesses (SDM vol. 3, 4.6): user (CPL 3), explicit supervisor (CPL < 3), or an implicit supervisor
/// access to a system structure (descriptor tables, TSS) whatever the CPL.
enum class Privilege : uint8_t { kUser, kSupervisor, kImplicit };

struct Access {
  AccessOp op = AccessOp::kRead;
  Privilege by = Privilege::kUser;
  /// Ask, but change nothing: no accessed or dirty flag, no fill, no counter. For debuggers and auditors.
  bool probe = false;

  static constexpr unsigned kKinds = 9;
  constexpr unsigned kind() const { return static_cast<unsigned>(op) * 3 + static_cast<unsigned>(by); }
  constexpr bool write() const { return op == AccessOp::kWrite; }
  constexpr bool fetch() const { return op == AccessOp::kFetch; }
  constexpr bool user() const { return by == Privilege::kUser; }
  friend bool operator==(const Access&, const Access&) = default;
};

/// "user write", "implicit read", "supervisor fetch (probe)".
std::string to_string(Access access);

}  // namespace gnomon

#endif  // GNOMON_X86_ACCESS_H_
