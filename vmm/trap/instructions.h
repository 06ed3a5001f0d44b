// SPDX-License-Identifier: Apache-2.0
#ifndef VMM_TRAP_INSTRUCTIONS_H_
#define VMM_TRAP_INSTRUCTIONS_H_

#include <Zydis/Mnemonic.h>

#include "vmm/trap/instruction.h"

// The emulated instructions, by the file that has them. See Emulate.

namespace gnomon::vmm::trap {

// segment_load.cc
bool move_segment(Instruction& in);
bool push_segment(Instruction& in);
bool pop_segment(Instruction& in);
bool load_far_pointer(Instruction& in);  // LDS, LES, LFS, LGS, LSS
// far_transfer.cc
bool jump_far(Instruction& in);
bool call_far(Instruction& in);
bool return_far(Instruction& in);
// interrupt.cc and iret.cc
bool software_interrupt(Instruction& in);
bool interrupt_return(Instruction& in);
// system_calls.cc
bool system_call(Instruction& in);
bool system_return(Instruction& in);
bool sysenter(Instruction& in);
bool sysexit(Instruction& in);
bool swap_gs(Instruction& in);
bool segment_base(Instruction& in);  // RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE
// control_registers.cc
bool move_control(Instruction& in);
bool clear_task_switched(Instruction& in);
bool load_machine_status(Instruction& in);
bool store_machine_status(Instruction& in);
// debug_registers.cc
bool move_debug(Instruction& in);
// flag_instructions.cc
bool push_flags(Instruction& in);
bool pop_flags(Instruction& in);
bool interrupt_flag(Instruction& in);
bool access_check_flag(Instruction& in);
// ports.cc
bool port_in(Instruction& in);
bool port_out(Instruction& in);
bool port_in_string(Instruction& in);
bool port_out_string(Instruction& in);
// msrs.cc
bool read_msr(Instruction& in);
bool write_msr(Instruction& in);
// cpuid.cc
bool cpuid(Instruction& in);
// processor.cc
bool halt(Instruction& in);
bool write_back_caches(Instruction& in);
bool time_stamp(Instruction& in);
bool read_processor_id(Instruction& in);
bool no_performance_counter(Instruction& in);
bool keys(Instruction& in);
bool hypercall(Instruction& in);
bool no_such_instruction(Instruction& in);
// invalidations.cc
bool invalidate_page(Instruction& in);
bool invalidate_context(Instruction& in);
// tables.cc
bool load_table(Instruction& in);
bool store_table(Instruction& in);
bool load_local_table(Instruction& in);
bool load_task(Instruction& in);
bool store_system_selector(Instruction& in);
// descriptor_query.cc
bool query_descriptor(Instruction& in);  // LAR, LSL
bool verify_segment(Instruction& in);    // VERR, VERW
bool adjust_level(Instruction& in);      // ARPL

}  // namespace gnomon::vmm::trap

#endif  // VMM_TRAP_INSTRUCTIONS_H_
