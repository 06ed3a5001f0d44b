// SPDX-License-Identifier: Apache-2.0
//
// `info tlb` and `info mem` in every paging mode, and of tables that lead everywhere.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "gnomon/vmm/monitor.h"
#include "tests/monitor/ran.h"
#include "tests/paged_guest/paged_guest.h"
#include "vmm/cpu/cpu.h"

namespace gnomon::vmm {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kRoot = 0x20000;
constexpr absl::string_view kMore = "the tables lead to more than is listed here\n";

void put_entry(Machine& machine, uint64_t at, uint64_t value) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  ASSERT_TRUE(machine.write_memory(Gpa(at), absl::MakeSpan(bytes, sizeof value)));
}

/// Paging on, with the tables at kRoot.
void turn_paging_on(Machine& machine, uint64_t cr4, uint64_t efer) {
  Cpu& cpu = machine.cpu(0);
  ASSERT_TRUE(cpu.memory.write_cr3(kRoot));
  ASSERT_TRUE(cpu.memory.write_controls(cpu.controls().cr0 | cr0::kPG, cr4, efer));
  cpu.mode_changed();
}

class PageList : public testing::TestWithParam<const char*> {};

TEST_P(PageList, Of32BitPaging) {
  const auto machine = ran(paged_guest_32(GetParam()), 11);  // all but the end
  Monitor monitor(*machine);
  EXPECT_EQ(monitor.run("info tlb").text,
            "0000000000100000: 0000000000100000 ----A---W\n"
            "0000000000101000: 0000000000101000 --------W\n"
            "00000000c0000000: 0000000000200000 ---DA--UW\n"
            "00000000c0001000: 0000000000201000 -------U-\n");
  EXPECT_EQ(monitor.run("info mem").text,
            "0000000000100000-0000000000102000 0000000000002000 -rw\n"
            "00000000c0000000-00000000c0001000 0000000000001000 urw\n"
            "00000000c0001000-00000000c0002000 0000000000001000 ur-\n");
}

TEST_P(PageList, OfPaePaging) {
  const auto machine = paged_guest_32(GetParam());
  put_entry(*machine, kRoot, 0x21001);  // writable and user by definition
  put_entry(*machine, kRoot + 24, 0x22001);
  put_entry(*machine, 0x21000, 0x23007);
  put_entry(*machine, 0x21008, 0x8000'0000'0020'00e5);  // 2M, user, read-only, no execution
  put_entry(*machine, 0x22ff8, 0x24003);
  put_entry(*machine, 0x23800, 0x100003);
  put_entry(*machine, 0x24ff8, 0x300087);  // bit 7 of a 4K page is PAT, not P
  turn_paging_on(*machine, cr4::kPAE, efer::kNXE);
  Monitor monitor(*machine);
  EXPECT_EQ(monitor.run("info tlb").text,
            "0000000000100000: 0000000000100000 --------W\n"
            "0000000000200000: 0000000000200000 X-PDA--U-\n"
            "00000000fffff000: 0000000000300000 -------UW\n");
  EXPECT_EQ(monitor.run("info mem").text,
            "0000000000100000-0000000000101000 0000000000001000 -rw\n"
            "0000000000200000-0000000000400000 0000000000200000 ur-\n"
            "00000000fffff000-0000000100000000 0000000000001000 -rw\n");
  EXPECT_EQ(monitor.run("gva2gpa 0xfffff123").text, "gpa: 0x300123\n");
}

TEST_P(PageList, Of4LevelPaging) {
  const auto machine = ran(paged_guest_long(GetParam()), 20);
  Monitor monitor(*machine);
  EXPECT_EQ(monitor.run("info tlb").text,
            "0000000000000000: 0000000000000000 --P-A---W\n"
            "0000000000200000: 0000000000200000 XGP------\n"
            "ffffff8000000000: 0000000000000000 --P-A---W\n"
            "ffffff8000200000: 0000000000200000 XGP------\n");
  EXPECT_EQ(monitor.run("info mem").text,
            "0000000000000000-0000000000200000 0000000000200000 -rw\n"
            "0000000000200000-0000000000400000 0000000000200000 -r-\n"
            "ffffff8000000000-ffffff8000200000 0000000000200000 -rw\n"
            "ffffff8000200000-ffffff8000400000 0000000000200000 -r-\n");
}

TEST_P(PageList, Of5LevelPaging) {
  const auto machine = paged_guest_32(GetParam());
  put_entry(*machine, kRoot, 0x21007);
  put_entry(*machine, kRoot + 8 * 255, 0x21007);  // the last of the lower half
  put_entry(*machine, kRoot + 8 * 256, 0x21003);  // the first of the upper half
  put_entry(*machine, 0x21000, 0x22007);
  put_entry(*machine, 0x22000, 0x23007);
  put_entry(*machine, 0x22008, 0x4000'0083);  // 1G
  put_entry(*machine, 0x23000, 0x24005);
  put_entry(*machine, 0x24800, 0x100007);
  turn_paging_on(*machine, cr4::kPAE | cr4::kLA57, efer::kLME);
  Monitor monitor(*machine);
  EXPECT_EQ(monitor.run("info tlb").text,
            "0000000000100000: 0000000000100000 -------UW\n"
            "0000000040000000: 0000000040000000 --P-----W\n"
            "00ff000000100000: 0000000000100000 -------UW\n"
            "00ff000040000000: 0000000040000000 --P-----W\n"
            "ff00000000100000: 0000000000100000 -------UW\n"
            "ff00000040000000: 0000000040000000 --P-----W\n");
  EXPECT_EQ(monitor.run("info mem").text,
            "0000000000100000-0000000000101000 0000000000001000 ur-\n"
            "0000000040000000-0000000080000000 0000000040000000 -rw\n"
            "00ff000000100000-00ff000000101000 0000000000001000 ur-\n"
            "00ff000040000000-00ff000080000000 0000000040000000 -rw\n"
            "ff00000000100000-ff00000000101000 0000000000001000 -r-\n"
            "ff00000040000000-ff00000080000000 0000000040000000 -rw\n");
  EXPECT_EQ(monitor.run("gva2gpa 0xff00000000100fff").text, "gpa: 0x100fff\n");
}

INSTANTIATE_TEST_SUITE_P(Backends, PageList, testing::Values("native", "shadow", "vtlb", "nested"),
                         [](const auto& about) { return std::string(about.param); });

// Each of the 1024 tables of a 32-bit guest may be one and the same, with a page in each entry:
// 2^20 pages, which is allowed. In 4-level paging it is far more, and there the list ends.
TEST(PageListEnds, WhereTablesLeadToThemselves) {
  const auto machine = ran(paged_guest_long("native"), 20);
  for (uint64_t i = 1; i < 511; ++i) put_entry(*machine, 0x10000 + 8 * i, 0x10007);
  EXPECT_TRUE(absl::EndsWith(Monitor(*machine).run("info mem").text, kMore));
}

// 512 times 512 times 512 empty tables, in four frames.
TEST(PageListEnds, WhereTablesLeadNowhere) {
  const auto machine = ran(paged_guest_long("native"), 20);
  for (uint64_t level = 0; level < 3; ++level) {
    for (uint64_t i = 1; i < 511; ++i) {
      put_entry(*machine, (level == 0 ? 0x10000 : 0x20000 + 0x1000 * level) + 8 * i,
                (0x21000 + 0x1000 * level) | 7);
    }
  }
  for (const char* const command : {"info tlb", "info mem"}) {
    const std::string text = Monitor(*machine).run(command).text;
    EXPECT_TRUE(absl::EndsWith(text, kMore)) << text;
    EXPECT_THAT(text, HasSubstr("0000000000200000")) << "what came before is there";
  }
}

}  // namespace
}  // namespace gnomon::vmm
