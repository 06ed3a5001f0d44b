// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_GDB_REGISTERS_H_
#define VMM_GDB_REGISTERS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "vmm/cpu/cpu.h"

// The registers that GDB is told of, in the order of the target description, which is that of the
// `g` packet.

namespace gnomon::vmm::gdb {

/// The target description.
std::string target_xml(bool wide);

unsigned register_count(bool wide);
unsigned register_bytes(bool wide, unsigned number);
/// The bytes of a register, least significant first, as many as register_bytes().
std::string read_register(const Cpu& cpu, bool wide, unsigned number);
/// False: the processor does not take this value. Segment registers only take another value in real
/// mode, where it decides about the base.
bool write_register(Cpu& cpu, bool wide, unsigned number, absl::string_view bytes);

}  // namespace gnomon::vmm::gdb

#endif  // VMM_GDB_REGISTERS_H_
