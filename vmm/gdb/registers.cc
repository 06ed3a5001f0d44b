// SPDX-License-Identifier: Apache-2.0
#include "vmm/gdb/registers.h"

#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gnomon/memory/bytes.h"

namespace gnomon::vmm::gdb {
namespace {

enum class Feature : uint8_t { kCore, kSse, kSegments, kSystem };

/// What a register is; `index` says which of its kind.
enum class Kind : uint8_t { kGpr, kIp, kFlags, kSegment, kStack, kX87, kXmm, kMxcsr, kSystem };

enum X87Word : uint8_t {
  kControl,
  kStatus,
  kTag,
  kIpSegment,
  kIpOffset,
  kDataSegment,
  kDataOffset,
  kOpcode
};
enum SystemRegister : uint8_t {
  kFsBase,
  kGsBase,
  kKernelGsBase,
  kCr0,
  kCr2,
  kCr3,
  kCr4,
  kCr8,
  kEfer
};

struct Row {
  std::string name;
  uint8_t bytes;
  absl::string_view type;
  Feature feature;
  Kind kind;
  uint8_t index;
};

constexpr uint8_t kOrder32[] = {kRax, kRcx, kRdx, kRbx, kRsp, kRbp, kRsi, kRdi};
constexpr uint8_t kOrder64[] = {kRax, kRbx, kRcx, kRdx, kRsi, kRdi, kRbp, kRsp};
constexpr absl::string_view kGprNames[] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
constexpr uint8_t kSegmentOrder[] = {kCs, kSs, kDs, kEs, kFs, kGs};
constexpr absl::string_view kSegmentNames[] = {"es", "cs", "ss", "ds", "fs", "gs"};
constexpr absl::string_view kX87Names[] = {"fctrl", "fstat", "ftag",  "fiseg",
                                           "fioff", "foseg", "fooff", "fop"};
constexpr absl::string_view kSystemNames[] = {"fs_base", "gs_base", "k_gs_base", "cr0", "cr2",
                                              "cr3",     "cr4",     "cr8",       "efer"};

std::vector<Row> make_rows(bool wide) {
  std::vector<Row> rows;
  const uint8_t word = wide ? 8 : 4;
  const absl::string_view integer = wide ? "int64" : "int32";
  for (const uint8_t r : wide ? kOrder64 : kOrder32) {
    const bool pointer = r == kRsp || r == kRbp;
    rows.push_back({absl::StrCat(wide ? "r" : "e", kGprNames[r]), word,
                    pointer ? "data_ptr" : integer, Feature::kCore, Kind::kGpr, r});
  }
  for (uint8_t r = 8; wide && r < 16; ++r) {
    rows.push_back({absl::StrCat("r", r), 8, integer, Feature::kCore, Kind::kGpr, r});
  }
  rows.push_back({wide ? "rip" : "eip", word, "code_ptr", Feature::kCore, Kind::kIp, 0});
  rows.push_back({"eflags", 4, "i386_eflags", Feature::kCore, Kind::kFlags, 0});
  for (const uint8_t s : kSegmentOrder) {
    rows.push_back({std::string(kSegmentNames[s]), 4, "int32", Feature::kCore, Kind::kSegment, s});
  }
  for (uint8_t i = 0; i < 8; ++i) {
    rows.push_back({absl::StrCat("st", i), 10, "i387_ext", Feature::kCore, Kind::kStack, i});
  }
  for (uint8_t i = 0; i < 8; ++i) {
    rows.push_back({std::string(kX87Names[i]), 4, "int", Feature::kCore, Kind::kX87, i});
  }
  for (uint8_t i = 0; i < (wide ? 16 : 8); ++i) {
    rows.push_back({absl::StrCat("xmm", i), 16, "vec128", Feature::kSse, Kind::kXmm, i});
  }
  rows.push_back({"mxcsr", 4, "i386_mxcsr", Feature::kSse, Kind::kMxcsr, 0});
  for (uint8_t i = kFsBase; i <= kEfer; ++i) {
    // GDB has a use for the bases of its own, in 64-bit programs.
    const bool base = wide && i <= kGsBase;
    const uint8_t bytes = i == kEfer ? 8 : word;
    rows.push_back({std::string(kSystemNames[i]), bytes, bytes == 8 ? "int64" : "int32",
                    base ? Feature::kSegments : Feature::kSystem, Kind::kSystem, i});
  }
  return rows;
}

const std::vector<Row>& rows(bool wide) {
  static const std::vector<Row> narrow_rows = make_rows(false);
  static const std::vector<Row> wide_rows = make_rows(true);
  return wide ? wide_rows : narrow_rows;
}

struct FlagField {
  absl::string_view name;
  unsigned first, last;
};
constexpr FlagField kFlagFields[] = {
    {"CF", 0, 0},    {"", 1, 1},     {"PF", 2, 2},   {"AF", 4, 4},   {"ZF", 6, 6},
    {"SF", 7, 7},    {"TF", 8, 8},   {"IF", 9, 9},   {"DF", 10, 10}, {"OF", 11, 11},
    {"NT", 14, 14},  {"RF", 16, 16}, {"VM", 17, 17}, {"AC", 18, 18}, {"VIF", 19, 19},
    {"VIP", 20, 20}, {"ID", 21, 21}};
constexpr FlagField kMxcsrFields[] = {{"IE", 0, 0},   {"DE", 1, 1},  {"ZE", 2, 2},   {"OE", 3, 3},
                                      {"UE", 4, 4},   {"PE", 5, 5},  {"DAZ", 6, 6},  {"IM", 7, 7},
                                      {"DM", 8, 8},   {"ZM", 9, 9},  {"OM", 10, 10}, {"UM", 11, 11},
                                      {"PM", 12, 12}, {"FZ", 15, 15}};

std::string flags_type(absl::string_view id, absl::Span<const FlagField> fields) {
  std::string text = absl::StrCat("<flags id=\"", id, "\" size=\"4\">");
  for (const FlagField& f : fields) {
    absl::StrAppend(&text, "<field name=\"", f.name, "\" start=\"", f.first, "\" end=\"", f.last,
                    "\"/>");
  }
  return absl::StrCat(text, "</flags>\n");
}

constexpr absl::string_view kVectorType =
    "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v2d\" type=\"ieee_double\" "
    "count=\"2\"/>"
    "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/><vector id=\"v8i16\" type=\"int16\" "
    "count=\"8\"/>"
    "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/><vector id=\"v2i64\" type=\"int64\" "
    "count=\"2\"/>\n"
    "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" "
    "type=\"v2d\"/>"
    "<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>"
    "<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>"
    "<field name=\"uint128\" type=\"uint128\"/></union>\n";

absl::string_view feature_name(Feature f) {
  switch (f) {
    case Feature::kCore: return "org.gnu.gdb.i386.core";
    case Feature::kSse: return "org.gnu.gdb.i386.sse";
    case Feature::kSegments: return "org.gnu.gdb.i386.segments";
    case Feature::kSystem: return "org.gnomon.x86.system";
  }
  return "";
}

unsigned physical(const X87State& x, unsigned st) { return (x.top() + st) & 7; }

// Two bits for each physical register: valid, zero, special, empty (SDM vol. 1, 8.1.7).
uint64_t full_tags(const X87State& x) {
  uint64_t word = 0;
  for (unsigned i = 0; i < 8; ++i) {
    const uint64_t significand = load_bytes(x.r[i].data(), 8);
    const uint64_t exponent = load_bytes(x.r[i].data() + 8, 2) & 0x7fff;
    uint64_t tag = 0;
    if ((x.tags >> i & 1) == 0)
      tag = 3;
    else if (exponent == 0 && significand == 0)
      tag = 1;
    else if (exponent == 0x7fff || significand >> 63 == 0)
      tag = 2;
    word |= tag << (2 * i);
  }
  return word;
}

uint64_t x87_word(const X87State& x, unsigned which) {
  switch (which) {
    case kControl: return x.control;
    case kStatus: return x.status;
    case kTag: return full_tags(x);
    case kIpOffset: return x.last_ip & 0xffff'ffff;
    case kDataOffset: return x.last_data & 0xffff'ffff;
    case kOpcode: return x.last_opcode;
    default: return 0;  // selectors are not kept
  }
}

void set_x87_word(X87State& x, unsigned which, uint64_t value) {
  switch (which) {
    case kControl: x.control = static_cast<uint16_t>(value); break;
    case kStatus: x.status = static_cast<uint16_t>(value); break;
    case kTag:
      x.tags = 0;
      for (unsigned i = 0; i < 8; ++i) {
        if ((value >> (2 * i) & 3) != 3) x.tags = static_cast<uint8_t>(x.tags | 1u << i);
      }
      break;
    case kIpOffset: x.last_ip = value; break;
    case kDataOffset: x.last_data = value; break;
    case kOpcode: x.last_opcode = static_cast<uint16_t>(value & 0x7ff); break;
    default: break;
  }
}

uint64_t system_value(const Cpu& cpu, unsigned which) {
  const Controls& c = cpu.controls();
  switch (which) {
    case kFsBase: return cpu.state.segments[kFs].base;
    case kGsBase: return cpu.state.segments[kGs].base;
    case kKernelGsBase: return cpu.state.msrs.kernel_gs_base;
    case kCr0: return c.cr0;
    case kCr2: return cpu.state.cr2;
    case kCr3: return c.cr3;
    case kCr4: return c.cr4;
    case kCr8: return cpu.state.cr8;
    default: return c.efer;
  }
}

bool set_system_value(Cpu& cpu, unsigned which, uint64_t value) {
  const Controls& c = cpu.controls();
  switch (which) {
    case kFsBase: cpu.state.segments[kFs].base = value; break;
    case kGsBase: cpu.state.segments[kGs].base = value; break;
    case kKernelGsBase: cpu.state.msrs.kernel_gs_base = value; break;
    case kCr2: cpu.state.cr2 = value; break;
    case kCr8: cpu.state.cr8 = static_cast<uint8_t>(value & 15); break;
    case kCr3:
      if (!cpu.memory.write_cr3(value)) return false;
      break;
    default: {
      const uint64_t cr0 = which == kCr0 ? value : c.cr0;
      const uint64_t cr4 = which == kCr4 ? value : c.cr4;
      const uint64_t efer = which == kEfer ? value : c.efer;
      if (!cpu.memory.write_controls(cr0, cr4, efer & ~efer::kLMA)) return false;
    }
  }
  cpu.mode_changed();
  return true;
}

/// What of EFLAGS a debugger may change; the mode stays.
constexpr uint64_t kFlagsOfUser = flag::kArithmetic | flag::kTF | flag::kIF | flag::kDF |
                                  flag::kIOPL | flag::kNT | flag::kRF | flag::kAC | flag::kVIF |
                                  flag::kVIP | flag::kID;

bool set_segment(Cpu& cpu, unsigned which, uint16_t selector) {
  if (!cpu.real_mode()) return false;
  cpu.state.segments[which].selector = selector;
  cpu.state.segments[which].base = uint64_t{selector} << 4;
  cpu.mode_changed();
  return true;
}

std::string little_endian(uint64_t value, size_t bytes) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes && i < 8; ++i) text[i] = static_cast<char>(value >> (8 * i));
  return text;
}

uint64_t number(absl::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size() && i < 8; ++i) {
    value |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  }
  return value;
}

}  // namespace

std::string target_xml(bool wide) {
  std::string text = absl::StrCat(
      "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM "
      "\"gdb-target.dtd\">\n<target>\n<architecture>",
      wide ? "i386:x86-64" : "i386", "</architecture>\n");
  const std::vector<Row>& all = rows(wide);
  for (size_t i = 0; i < all.size(); ++i) {
    const Row& row = all[i];
    if (i == 0 || row.feature != all[i - 1].feature) {
      absl::StrAppend(&text, i == 0 ? "" : "</feature>\n", "<feature name=\"",
                      feature_name(row.feature), "\">\n");
      if (row.feature == Feature::kCore) text += flags_type("i386_eflags", kFlagFields);
      if (row.feature == Feature::kSse)
        absl::StrAppend(&text, kVectorType, flags_type("i386_mxcsr", kMxcsrFields));
    }
    const absl::string_view group = row.kind == Kind::kX87            ? " group=\"float\""
                                    : row.feature == Feature::kSystem ? " group=\"system\""
                                                                      : "";
    absl::StrAppend(&text, "<reg name=\"", row.name, "\" bitsize=\"", 8 * row.bytes, "\" type=\"",
                    row.type, "\"", group, "/>\n");
  }
  return absl::StrCat(text, "</feature>\n</target>\n");
}

unsigned register_count(bool wide) { return static_cast<unsigned>(rows(wide).size()); }
unsigned register_bytes(bool wide, unsigned n) { return rows(wide)[n].bytes; }

std::string read_register(const Cpu& cpu, bool wide, unsigned n) {
  const Row& row = rows(wide)[n];
  const auto value = [&](uint64_t v) { return little_endian(v, row.bytes); };
  switch (row.kind) {
    case Kind::kGpr: return value(cpu.gpr[row.index]);
    case Kind::kIp: return value(cpu.rip);
    case Kind::kFlags: return value(cpu.rflags());
    case Kind::kSegment: return value(cpu.state.segments[row.index].selector);
    case Kind::kStack: {
      const auto& r = cpu.state.x87.r[physical(cpu.state.x87, row.index)];
      return std::string(reinterpret_cast<const char*>(r.data()), r.size());
    }
    case Kind::kX87: return value(x87_word(cpu.state.x87, row.index));
    case Kind::kXmm:
      return absl::StrCat(little_endian(cpu.state.xmm[row.index].q[0], 8),
                          little_endian(cpu.state.xmm[row.index].q[1], 8));
    case Kind::kMxcsr: return value(cpu.state.mxcsr);
    case Kind::kSystem: return value(system_value(cpu, row.index));
  }
  return value(0);
}

bool write_register(Cpu& cpu, bool wide, unsigned n, absl::string_view bytes) {
  const Row& row = rows(wide)[n];
  if (bytes.size() != row.bytes) return false;
  if (bytes == read_register(cpu, wide, n)) return true;
  const uint64_t value = number(bytes);
  switch (row.kind) {
    case Kind::kGpr: cpu.gpr[row.index] = value; break;
    case Kind::kIp: cpu.rip = value; break;
    case Kind::kFlags:
      cpu.set_rflags((cpu.rflags() & ~kFlagsOfUser) | (value & kFlagsOfUser) | flag::kOne);
      break;
    case Kind::kSegment: return set_segment(cpu, row.index, static_cast<uint16_t>(value));
    case Kind::kStack: {
      auto& r = cpu.state.x87.r[physical(cpu.state.x87, row.index)];
      for (size_t i = 0; i < r.size(); ++i) r[i] = static_cast<uint8_t>(bytes[i]);
      break;
    }
    case Kind::kX87: set_x87_word(cpu.state.x87, row.index, value); break;
    case Kind::kXmm: cpu.state.xmm[row.index].q = {value, number(bytes.substr(8))}; break;
    case Kind::kMxcsr:
      if (value >> 16 != 0) return false;
      cpu.state.mxcsr = static_cast<uint32_t>(value);
      break;
    case Kind::kSystem: return set_system_value(cpu, row.index, value);
  }
  return true;
}

}  // namespace gnomon::vmm::gdb
