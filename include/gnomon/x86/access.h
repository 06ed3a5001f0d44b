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

/// One access, as a value. It is one word, which goes from call to call in a register: as three bytes it would be
/// stored one by one and loaded as one, for which processors wait.
class Access {
 public:
  constexpr Access() = default;
  /// With `probe`: ask, but change nothing: no accessed or dirty flag, no fill, no counter. For debuggers and auditors.
  constexpr Access(AccessOp op, Privilege by = Privilege::kUser, bool probe = false)
      : word_(static_cast<uint32_t>(op) | static_cast<uint32_t>(by) << kBy | (probe ? kProbe : 0u)) {}

  constexpr AccessOp op() const { return static_cast<AccessOp>(word_ & 3); }
  constexpr Privilege by() const { return static_cast<Privilege>(word_ >> kBy & 3); }
  constexpr bool probe() const { return (word_ & kProbe) != 0; }
  /// The same, but for one thing.
  constexpr Access with(AccessOp op) const { return {op, by(), probe()}; }
  constexpr Access with_probe(bool probe) const { return {op(), by(), probe}; }

  static constexpr unsigned kKinds = 9;
  constexpr unsigned kind() const { return static_cast<unsigned>(op()) * 3 + static_cast<unsigned>(by()); }
  constexpr bool write() const { return op() == AccessOp::kWrite; }
  constexpr bool fetch() const { return op() == AccessOp::kFetch; }
  constexpr bool user() const { return by() == Privilege::kUser; }
  friend constexpr bool operator==(Access, Access) = default;

 private:
  static constexpr unsigned kBy = 2;
  static constexpr uint32_t kProbe = 16;
  uint32_t word_ = 0;  // a read by the user
};

/// "user write", "implicit read", "supervisor fetch (probe)".
std::string to_string(Access access);

}  // namespace gnomon

#endif  // GNOMON_X86_ACCESS_H_
