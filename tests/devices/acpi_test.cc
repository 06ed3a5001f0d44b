// SPDX-License-Identifier: Apache-2.0
//
// ACPI: the fixed registers, and the tables as a kernel finds and reads them.
#include <gmock/gmock.h>

#include <cstring>

#include "gnomon/memory/host_memory.h"
#include "gnomon/memory/p2m.h"
#include "tests/devices/fixture.h"

namespace gnomon::vmm {
namespace {

using ::testing::ElementsAre;

TEST(AcpiPower, PowersOffByAnyStoreOfSleepTypeZero) {
  BoardFixture pc;
  EXPECT_EQ(pc.in16(0x604), 1u) << "ACPI mode is on";
  pc.out16(0x604, 0x2000);
  pc.out16(0x604, 0x2001);
  pc.out(0x605, 0x20);
  pc.out32(0x604, 0x2000);
  EXPECT_EQ(pc.control.take(), "exit 0; exit 0; exit 0; exit 0");
  pc.out16(0x604, 0x0001);
  pc.out16(0x604, 0x3401);  // another sleep type
  pc.out(0x604, 0x20);
  pc.out16(0x602, 0x2000);
  EXPECT_EQ(pc.control.take(), "");
  EXPECT_EQ(pc.in16(0x604), 0x1421u) << "SLP_EN reads as 0";
}

TEST(AcpiPower, StatusStaysClearAndEnableIsKept) {
  BoardFixture pc;
  pc.out32(0x600, 0x0321'ffff);
  EXPECT_EQ(pc.in16(0x600), 0u);
  EXPECT_EQ(pc.in16(0x602), 0x0321u);
  EXPECT_EQ(pc.in32(0x600), 0x0321'0000u);
  pc.board->reset();
  EXPECT_EQ(pc.in16(0x602), 0u);
}

TEST(AcpiPower, TimerCountsAtItsRate) {
  BoardFixture pc;
  EXPECT_EQ(pc.in32(0x608), 0u);
  pc.pass_ns(1'000'000'000);
  EXPECT_EQ(pc.in32(0x608), 3'579'545u);
  pc.out32(0x608, 0);  // read only
  EXPECT_EQ(pc.in32(0x608), 3'579'545u);
  EXPECT_EQ(pc.in16(0x60a), 3'579'545u >> 16);
  pc.pass_ns(uint64_t{1'200} * 1'000'000'000);  // beyond 32 bits
  EXPECT_EQ(pc.in32(0x608), static_cast<uint32_t>(uint64_t{1'201} * 3'579'545));
}

/// The tables in 4 MiB of RAM.
class Tables {
 public:
  explicit Tables(unsigned cpus)
      : host_(*HostMemory::create(8 << 20)), p2m_(*host_), memory_(p2m_) {
    BoardOptions options;
    options.cpus = cpus;
    BoardFixture pc(options);
    EXPECT_TRUE(p2m_.add_slot(Gpa(0), 4 << 20, {}).ok());
    EXPECT_TRUE(pc.board->place_tables(memory_).ok());
  }
  std::vector<uint8_t> bytes(uint64_t from, size_t count) {
    std::vector<uint8_t> data(count);
    EXPECT_TRUE(memory_.read(Gpa(from), absl::MakeSpan(data)));
    return data;
  }
  std::string text(uint64_t from, size_t count) {
    const auto b = bytes(from, count);
    return std::string(b.begin(), b.end());
  }
  template <class T>
  T get(uint64_t from) {
    T value{};
    EXPECT_TRUE(memory_.get(Gpa(from), value));
    return value;
  }
  uint8_t sum(uint64_t from, size_t count) {
    uint8_t total = 0;
    for (const uint8_t b : bytes(from, count)) total = static_cast<uint8_t>(total + b);
    return total;
  }
  /// As ACPI 6.5, 5.2.5.1 says; 0: not there.
  uint64_t find_root_pointer() {
    for (uint64_t at = 0xe'0000; at < 0x10'0000; at += 16) {
      if (text(at, 8) == "RSD PTR ") return at;
    }
    return 0;
  }
  /// The tables that the root table lists, each with its checksum right, by signature.
  uint64_t listed(uint64_t root, unsigned pointer_bytes, const char* signature) {
    EXPECT_EQ(sum(root, get<uint32_t>(root + 4)), 0);
    for (uint64_t at = root + 36; at < root + get<uint32_t>(root + 4); at += pointer_bytes) {
      const uint64_t table = pointer_bytes == 8 ? get<uint64_t>(at) : get<uint32_t>(at);
      EXPECT_EQ(sum(table, get<uint32_t>(table + 4)), 0) << text(table, 4);
      if (text(table, 4) == signature) return table;
    }
    return 0;
  }

 private:
  std::unique_ptr<HostMemory> host_;
  P2m p2m_;
  GuestMemory memory_;
};

TEST(AcpiTables, AreFoundAndAddUp) {
  for (const unsigned cpus : {1u, 2u, 15u, 64u}) {
    SCOPED_TRACE(cpus);
    Tables t(cpus);
    const uint64_t pointer = t.find_root_pointer();
    ASSERT_NE(pointer, 0u);
    EXPECT_EQ(t.sum(pointer, 20), 0);
    EXPECT_EQ(t.sum(pointer, 36), 0);
    EXPECT_EQ(t.get<uint8_t>(pointer + 15), 2);
    const uint64_t rsdt = t.get<uint32_t>(pointer + 16), xsdt = t.get<uint64_t>(pointer + 24);
    EXPECT_EQ(t.text(rsdt, 4), "RSDT");
    EXPECT_EQ(t.text(xsdt, 4), "XSDT");
    for (const char* const name : {"FACP", "APIC"}) {
      ASSERT_NE(t.listed(rsdt, 4, name), 0u) << name;
      EXPECT_EQ(t.listed(rsdt, 4, name), t.listed(xsdt, 8, name));
    }
    const uint64_t fadt = t.listed(xsdt, 8, "FACP");
    const uint64_t dsdt = t.get<uint32_t>(fadt + 40), facs = t.get<uint32_t>(fadt + 36);
    EXPECT_EQ(t.get<uint64_t>(fadt + 140), dsdt);
    EXPECT_EQ(t.text(dsdt, 4), "DSDT");
    EXPECT_EQ(t.sum(dsdt, t.get<uint32_t>(dsdt + 4)), 0);
    EXPECT_EQ(t.text(facs, 4), "FACS");
    EXPECT_EQ(facs % 64, 0u);
    EXPECT_EQ(t.get<uint32_t>(fadt + 56), 0x600u);
    EXPECT_EQ(t.get<uint32_t>(fadt + 64), 0x604u);
    EXPECT_EQ(t.get<uint32_t>(fadt + 76), 0x608u);
    EXPECT_LT(t.find_root_pointer() + 0x1000, 0x10'0000u);
  }
}

TEST(AcpiTables, ListEveryProcessorAndTheTimersPin) {
  for (const unsigned cpus : {1u, 3u, 64u}) {
    SCOPED_TRACE(cpus);
    Tables t(cpus);
    const uint64_t madt = t.listed(t.get<uint32_t>(t.find_root_pointer() + 16), 4, "APIC");
    const uint64_t end = madt + t.get<uint32_t>(madt + 4);
    EXPECT_EQ(t.get<uint32_t>(madt + 36), 0xfee0'0000u);
    unsigned kinds[5] = {};
    uint64_t at = madt + 44;
    while (at < end) {
      const auto kind = t.get<uint8_t>(at);
      ASSERT_LE(kind, 4);
      if (kind == 0) {
        EXPECT_THAT(t.bytes(at, 8), ElementsAre(0, 8, kinds[0], kinds[0], 1, 0, 0, 0));
      } else if (kind == 1) {
        EXPECT_EQ(t.get<uint32_t>(at + 4), 0xfec0'0000u);
      } else if (kind == 2 && kinds[2] == 0) {
        EXPECT_THAT(t.bytes(at, 10), ElementsAre(2, 10, 0, 0, 2, 0, 0, 0, 0, 0));
      }
      ++kinds[kind];
      at += t.get<uint8_t>(at + 1);
    }
    EXPECT_EQ(at, end);
    EXPECT_THAT(kinds, ElementsAre(cpus, 1, 2, 0, 1));
  }
}

// A kernel takes one or the other, by its configuration: both lie there, apart, and say the same.
TEST(AcpiTables, LieBesideAnMpTableThatSaysTheSame) {
  for (const unsigned cpus : {1u, 2u, 15u, 16u, 64u}) {
    SCOPED_TRACE(cpus);
    Tables t(cpus);
    const uint64_t root = t.find_root_pointer(), mp = 0xf'0010;
    ASSERT_EQ(t.text(0xf'0000, 4), "_MP_");
    ASSERT_EQ(t.get<uint32_t>(0xf'0004), mp);
    const uint64_t mp_end = mp + t.get<uint16_t>(mp + 4);
    EXPECT_LE(mp_end, root);
    EXPECT_EQ(t.sum(mp, mp_end - mp), 0);
    const uint64_t madt = t.listed(t.get<uint32_t>(root + 16), 4, "APIC");
    EXPECT_EQ(t.get<uint32_t>(madt + 36), t.get<uint32_t>(mp + 36)) << "the local APIC's address";
    uint64_t at = mp + 44, acpi = madt + 44;
    for (unsigned cpu = 0; cpu < cpus; ++cpu, at += 20, acpi += 8) {
      ASSERT_EQ(t.get<uint8_t>(at), 0);
      ASSERT_EQ(t.get<uint8_t>(acpi), 0);
      EXPECT_EQ(t.get<uint8_t>(at + 1), t.get<uint8_t>(acpi + 3)) << "the local APIC's ID";
    }
    at += 8;  // the bus
    EXPECT_EQ(t.get<uint8_t>(at), 2);
    EXPECT_EQ(t.get<uint8_t>(at + 1), t.get<uint8_t>(acpi + 2)) << "the I/O APIC's ID";
    EXPECT_EQ(t.get<uint32_t>(at + 4), t.get<uint32_t>(acpi + 4)) << "and its address";
    at += 8;
    EXPECT_THAT(t.bytes(at, 8), ElementsAre(3, 0, 0, 0, 0, 0, t.get<uint8_t>(acpi + 2), 2))
        << "IRQ 0 is at pin 2";
  }
}

}  // namespace
}  // namespace gnomon::vmm
