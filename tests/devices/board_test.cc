// SPDX-License-Identifier: Apache-2.0
#include "gnomon/vmm/board.h"

#include <gmock/gmock.h>

#include <cstring>

#include "gnomon/memory/host_memory.h"
#include "gnomon/memory/p2m.h"
#include "tests/devices/fixture.h"

namespace gnomon::vmm {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

BoardOptions options_for(const char* board, uint64_t memory_bytes = 64u << 20, unsigned cpus = 1) {
  BoardOptions options;
  options.board = board;
  options.memory_bytes = memory_bytes;
  options.cpus = cpus;
  return options;
}

/// 4 MiB of RAM from address 0.
class Memory {
 public:
  Memory() : host(*HostMemory::create(8 << 20)), p2m(*host), memory(p2m) {
    EXPECT_TRUE(p2m.add_slot(Gpa(0), 4 << 20, {}).ok());
  }
  std::vector<uint8_t> bytes(uint64_t from, size_t count) {
    std::vector<uint8_t> data(count);
    EXPECT_TRUE(memory.read(Gpa(from), absl::MakeSpan(data)));
    return data;
  }
  template <class T>
  T get(uint64_t from) {
    T value{};
    EXPECT_TRUE(memory.get(Gpa(from), value));
    return value;
  }
  void write_text(uint64_t at, absl::string_view text, uint8_t attribute = 7) {
    for (const char c : text) {
      EXPECT_TRUE(memory.put(Gpa(at), static_cast<uint8_t>(c)));
      EXPECT_TRUE(memory.put(Gpa(at + 1), attribute));
      at += 2;
    }
  }

  std::unique_ptr<HostMemory> host;
  P2m p2m;
  GuestMemory memory;
};

uint8_t sum(const std::vector<uint8_t>& bytes) {
  uint8_t total = 0;
  for (const uint8_t b : bytes) total = static_cast<uint8_t>(total + b);
  return total;
}

TEST(Boards, AreListedAndRefuseWhatTheyCannotBe) {
  ASSERT_EQ(boards().size(), 2u);
  EXPECT_EQ(boards()[0].name, "pc");
  EXPECT_EQ(boards()[1].name, "minimal");
  Clock clock;
  ControlLog control;
  const auto refused = [&](BoardOptions options) {
    return create_board(options, clock, control).status().code() ==
           absl::StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused(options_for("sun3")));
  EXPECT_TRUE(refused(options_for("pc", 1000)));
  EXPECT_TRUE(refused(options_for("pc", (64u << 20) + 1)));
  EXPECT_TRUE(refused(options_for("pc", 64u << 20, 0)));
  EXPECT_TRUE(refused(options_for("pc", 64u << 20, 65)));
  EXPECT_TRUE(refused(options_for("minimal", 64u << 20, 2)));
  EXPECT_FALSE(refused(options_for("pc", 64u << 20, 64)));
}

std::vector<std::vector<uint64_t>> rows(const std::vector<MemoryRange>& map) {
  std::vector<std::vector<uint64_t>> result;
  for (const MemoryRange& r : map) {
    result.push_back({r.base, r.base + r.bytes, static_cast<uint64_t>(r.kind)});
  }
  return result;
}

TEST(Boards, MemoryMaps) {
  const uint64_t gib = 1u << 30;
  EXPECT_THAT(
      rows(BoardFixture(options_for("pc", 5 * gib)).board->memory_map()),
      ElementsAre(ElementsAre(0, 0x9'fc00, 1), ElementsAre(0x9'fc00, 0xa'0000, 2),
                  ElementsAre(0xa'0000, 0x10'0000, 2), ElementsAre(0x10'0000, 3 * gib, 1),
                  ElementsAre(0xfec0'0000, 0xfec0'1000, 2),
                  ElementsAre(0xfee0'0000, 0xfee0'1000, 2), ElementsAre(4 * gib, 6 * gib, 1)));
  EXPECT_THAT(rows(BoardFixture(options_for("pc", 64u << 20)).board->memory_map())[3],
              ElementsAre(0x10'0000, 64u << 20, 1));
  EXPECT_THAT(rows(BoardFixture(options_for("minimal", 5 * gib)).board->memory_map()),
              ElementsAre(ElementsAre(0, 3 * gib, 1), ElementsAre(4 * gib, 6 * gib, 1)));
}

// Finds the table as kernels do, and walks its entries.
TEST(PcBoard, MpTableIsFoundInBothPlacesAndAddsUp) {
  for (const unsigned cpus : {1u, 2u, 15u, 64u}) {
    BoardFixture pc(options_for("pc", 64u << 20, cpus));
    Memory ram;
    ASSERT_TRUE(pc.board->place_tables(ram.memory).ok());
    const uint64_t ebda = uint64_t{ram.get<uint16_t>(0x40e)} << 4;
    EXPECT_EQ(ebda, 0x9'fc00u);
    EXPECT_EQ(ram.get<uint16_t>(0x413), 639);
    unsigned found = 0;
    uint32_t where = 0;
    for (const auto& [from, to] :
         {std::pair<uint64_t, uint64_t>{ebda, ebda + 1024}, {0xf'0000, 0x10'0000}}) {
      for (uint64_t at = from; at < to; at += 16) {
        const auto pointer = ram.bytes(at, 16);
        if (std::memcmp(pointer.data(), "_MP_", 4) != 0) continue;
        ++found;
        EXPECT_EQ(sum(pointer), 0);
        where = ram.get<uint32_t>(at + 4);
        EXPECT_EQ(pointer[9], 4);
        EXPECT_EQ(pointer[12] & 0x80, 0) << "virtual wire mode, no IMCR";
      }
    }
    EXPECT_EQ(found, 2u);
    ASSERT_EQ(std::memcmp(ram.bytes(where, 4).data(), "PCMP", 4), 0);
    const auto table = ram.bytes(where, ram.get<uint16_t>(where + 4));
    EXPECT_EQ(sum(table), 0) << cpus;
    EXPECT_EQ(ram.get<uint32_t>(where + 36), 0xfee0'0000u);
    unsigned kinds[5] = {};
    size_t at = 44;
    bool timer_on_pin_2 = false;
    for (unsigned i = 0; i < ram.get<uint16_t>(where + 34); ++i) {
      ASSERT_LT(at, table.size());
      const uint8_t kind = table[at];
      ASSERT_LE(kind, 4);
      if (kind == 0) {
        EXPECT_EQ(table[at + 1], kinds[0]) << "APIC IDs in order";
        EXPECT_EQ(table[at + 3], kinds[0] == 0 ? 3 : 1);
      }
      if (kind == 2) EXPECT_EQ(table[at + 1], pc.io_apic(0) >> 24 & 15);
      if (kind == 3 && table[at + 5] == 0) timer_on_pin_2 = table[at + 7] == 2;
      ++kinds[kind];
      at += kind == 0 ? 20 : 8;
    }
    EXPECT_EQ(at, table.size());
    EXPECT_THAT(kinds, ElementsAre(cpus, 1, 1, 15, 2));
    EXPECT_TRUE(timer_on_pin_2);
  }
}

TEST(PcBoard, BiosDataAndTextScreen) {
  BoardFixture pc;
  Memory ram;
  ASSERT_TRUE(pc.board->place_tables(ram.memory).ok());
  EXPECT_EQ(ram.get<uint16_t>(0x400), 0x3f8);
  EXPECT_EQ(ram.get<uint8_t>(0x449), 3);
  EXPECT_EQ(ram.get<uint16_t>(0x44a), 80);
  EXPECT_EQ(ram.get<uint16_t>(0x463), 0x3d4);
  auto screen = pc.board->text_screen(ram.memory);
  EXPECT_EQ(screen, std::vector<std::string>(25));
  ram.write_text(0xb'8000, "  hello \x01\xb0\xe4");
  ram.write_text(0xb'8000 + 2 * 80 * 24 + 2 * 79, "!");
  screen = pc.board->text_screen(ram.memory);
  EXPECT_EQ(screen[0], "  hello \u263a\u2591\u03a3");
  EXPECT_EQ(screen[24], std::string(79, ' ') + "!");
  pc.out16(0x3d4, 80 << 8 | 0x0d);  // start at the second row
  EXPECT_EQ(pc.board->text_screen(ram.memory)[23], std::string(79, ' ') + "!");
  EXPECT_EQ(pc.in(0x3d5), 80);
  pc.out16(0x3d4, 0xff0c);  // beyond the end: wraps around
  pc.board->text_screen(ram.memory);
  pc.out16(0x3ce, 0x0506);
  EXPECT_THAT(pc.board->text_screen(ram.memory), IsEmpty()) << "graphics";

  HostMemory& host = *ram.host;
  P2m empty(host);
  GuestMemory nothing(empty);
  EXPECT_EQ(pc.board->place_tables(nothing).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(pc.board->text_screen(nothing), IsEmpty());
}

TEST(PcBoard, VgaRegistersKeepWhatIsWritten) {
  BoardFixture pc;
  EXPECT_NE(pc.in(0x3da) & 8, pc.in(0x3da) & 8) << "retrace comes and goes";
  pc.out(0x3c0, 0x11);
  pc.out(0x3c0, 0x2a);
  pc.in(0x3da);
  pc.out(0x3c0, 0x11);
  EXPECT_EQ(pc.in(0x3c1), 0x2a);
  pc.out(0x3c8, 5);
  for (const uint8_t v : {1, 2, 3}) pc.out(0x3c9, v);
  pc.out(0x3c7, 5);
  EXPECT_EQ(pc.in(0x3c9) | pc.in(0x3c9) << 8 | pc.in(0x3c9) << 16, 0x030201);
  EXPECT_EQ(pc.in(0x3cc), 0x67);
}

TEST(PcBoard, FirmwareConfiguration) {
  BoardFixture pc(options_for("pc", uint64_t{5} << 30, 3));
  const auto item = [&](uint16_t key, size_t bytes) {
    std::vector<uint8_t> data;
    pc.out16(0x510, key);
    for (size_t i = 0; i < bytes; ++i) data.push_back(pc.in(0x511));
    return data;
  };
  EXPECT_THAT(item(0, 5), ElementsAre('Q', 'E', 'M', 'U', 0));
  EXPECT_THAT(item(1, 4), ElementsAre(1, 0, 0, 0));
  EXPECT_THAT(item(3, 8), ElementsAre(0, 0, 0, 0x40, 1, 0, 0, 0));
  EXPECT_THAT(item(5, 2), ElementsAre(3, 0));
  const auto directory = item(0x19, 68);
  EXPECT_EQ(directory[3], 1);
  EXPECT_STREQ(reinterpret_cast<const char*>(&directory[12]), "etc/e820");
  const size_t bytes = directory[6] << 8 | directory[7];
  EXPECT_EQ(bytes, pc.board->memory_map().size() * 20);
  const auto e820 = item(static_cast<uint16_t>(directory[8] << 8 | directory[9]), bytes + 1);
  EXPECT_EQ(e820[16], 1);
  EXPECT_EQ(e820[8] | e820[9] << 8 | e820[10] << 16, 0x9'fc00);
  EXPECT_THAT(item(0x1234, 2), ElementsAre(0, 0));
}

TEST(PcBoard, PciHasOnlyTheHostBridge) {
  BoardFixture pc;
  const auto config = [&](uint32_t address) {
    pc.out32(0xcf8, 0x8000'0000 | address);
    return pc.in32(0xcfc);
  };
  EXPECT_EQ(config(0), 0x1237'8086u);
  EXPECT_EQ(pc.in32(0xcf8), 0x8000'0000u);
  EXPECT_EQ(pc.in16(0xcfe), 0x1237u);
  EXPECT_EQ(config(8) >> 16, 0x0600u);
  pc.out32(0xcfc, 0xffff'ffff);
  EXPECT_EQ(config(0), 0x1237'8086u);
  for (uint32_t device = 1; device < 32; ++device) EXPECT_EQ(config(device << 11), 0xffff'ffffu);
  EXPECT_EQ(config(0x100), 0xffff'ffffu) << "function 1";
  pc.out32(0xcf8, 0);
  EXPECT_EQ(pc.in32(0xcfc), 0xffff'ffffu) << "not enabled";
}

TEST(PcBoard, WaysOutAndConsoles) {
  BoardFixture pc;
  pc.out(0xf4, 3);
  pc.out16(0xf4, 0x10);
  pc.out32(0xf4, 0);
  EXPECT_EQ(pc.control.take(), "exit 3; exit 16; exit 0");
  pc.out16(0x604, 0x2000);
  pc.out16(0x604, 0x1);
  EXPECT_EQ(pc.control.take(), "exit 0");
  pc.out(0xe9, 'd');
  pc.out(0x3f8, 's');
  EXPECT_EQ(pc.console, "ds");
  EXPECT_EQ(pc.in(0xe9), 0xe9);
  pc.out(0x80, 0x42);
  EXPECT_EQ(pc.in(0x80), 0x42);
  EXPECT_EQ(pc.in(0x2f8), 0xff) << "no COM2";
}

TEST(PcBoard, ResetIsPowerOn) {
  BoardFixture pc;
  pc.init_pics();
  pc.out(0x43, 0x34);
  pc.out(0x40, 10), pc.out(0x40, 0);
  pc.out(0x3f9, 0x0f);
  pc.set_apic(0x80, 0xff);
  pc.pass_ns(1'000'000);
  EXPECT_TRUE(pc.clock.next_deadline() != Clock::kNever);
  pc.board->reset();
  EXPECT_EQ(pc.clock.next_deadline(), Clock::kNever);
  EXPECT_EQ(pc.take_interrupt(), -1);
  EXPECT_EQ(pc.apic(0x80), 0u);
  EXPECT_EQ(pc.in(0x3f9), 0);
}

TEST(MinimalBoard, SerialTimerAndExit) {
  BoardFixture board(options_for("minimal"));
  board.init_pics(0xffee);
  board.out(0x43, 0x34);
  board.out(0x40, 0x9c), board.out(0x40, 0x2e);
  board.pass_ns(20'000'000);
  EXPECT_EQ(board.take_interrupt(), 0x20);
  board.out(0x20, 0x20);
  board.out(0x3f9, 0x01);
  EXPECT_EQ(board.board->console_input("k"), 1u);
  EXPECT_EQ(board.take_interrupt(), 0x24);
  EXPECT_EQ(board.in(0x3f8), 'k');
  board.out(0xf4, 0);
  EXPECT_EQ(board.control.take(), "exit 0");
  EXPECT_EQ(board.board->apic_base(0), 0u);
  EXPECT_FALSE(board.board->set_apic_base(0, 0xfee0'0900));
  EXPECT_EQ(board.board->keyboard_input("x"), 0u);
  EXPECT_EQ(board.in(0x64), 0xff);
  EXPECT_THAT(board.board->device_memory().regions(), IsEmpty());
  EXPECT_FALSE(board.board->interrupt_pending(1));
}

}  // namespace
}  // namespace gnomon::vmm
