// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/devices/fixture.h"

namespace gnomon::vmm {
namespace {

class KeyboardTest : public ::testing::Test, public BoardFixture {
 protected:
  // What waits at port 0x60, in hexadecimal.
  std::string bytes() {
    std::string text;
    while ((in(0x64) & 1) != 0) {
      char digits[4];
      std::snprintf(digits, sizeof digits, "%02x ", in(0x60));
      text += digits;
    }
    return text;
  }
  std::string ask(uint8_t command) {
    out(0x64, command);
    return bytes();
  }
  std::string tell_keyboard(std::initializer_list<uint8_t> values) {
    std::string text;
    for (const uint8_t v : values) {
      out(0x60, v);
      text += bytes();
    }
    return text;
  }
};

TEST_F(KeyboardTest, ControllerCommands) {
  EXPECT_EQ(in(0x64) & 0x03, 0);
  EXPECT_EQ(ask(0xaa), "55 ");
  EXPECT_EQ(ask(0xab), "00 ");
  EXPECT_EQ(ask(0xa9), "02 ") << "no pointing device";
  EXPECT_EQ(ask(0x20), "65 ");
  out(0x64, 0x60);
  out(0x60, 0x44);
  EXPECT_EQ(ask(0x20), "44 ");
  EXPECT_EQ(ask(0xa8), "");
  EXPECT_EQ(ask(0xad), "");
  EXPECT_EQ(ask(0x20), "54 ");
  EXPECT_EQ(ask(0xae), "");
  EXPECT_EQ(ask(0x20), "44 ");
  out(0x64, 0xd2);
  out(0x60, 0x99);
  EXPECT_EQ(bytes(), "99 ");
}

TEST_F(KeyboardTest, KeyboardAnswers) {
  EXPECT_EQ(tell_keyboard({0xff}), "fa aa ");
  EXPECT_EQ(tell_keyboard({0xee}), "ee ");
  EXPECT_EQ(tell_keyboard({0xf2}), "fa ab 41 ");
  EXPECT_EQ(tell_keyboard({0xed, 0x07}), "fa fa ");
  EXPECT_EQ(tell_keyboard({0xf0, 0x00}), "fa fa 41 ");
  EXPECT_EQ(tell_keyboard({0xf3, 0x20}), "fa fa ");
  EXPECT_EQ(tell_keyboard({0xf5, 0xf4}), "fa fa ");
  EXPECT_EQ(tell_keyboard({0x12}), "fe ");
  EXPECT_EQ(tell_keyboard({0xed, 0xf4}), "fa fa ") << "a command instead of the argument";
}

TEST_F(KeyboardTest, TypedTextArrivesAsScanCodesWithInterrupts) {
  init_pics();
  EXPECT_EQ(board->keyboard_input("aB\n\x03"), 4u);
  EXPECT_EQ(take_interrupt(), 0x21);
  EXPECT_EQ(in(0x60), 0x1e);
  out(0x20, 0x20);
  EXPECT_EQ(take_interrupt(), 0x21) << "one for each byte";
  EXPECT_EQ(bytes(), "9e 2a 30 b0 aa 1c 9c 1d 2e ae 9d ");
  const size_t room = board->keyboard_input(std::string(1000, 'x'));
  EXPECT_EQ(room, 32u);
  EXPECT_EQ(board->keyboard_input("x"), 0u);
}

TEST_F(KeyboardTest, WaysToReset) {
  out(0x64, 0xfe);
  EXPECT_EQ(control.take(), "reset");
  out(0x64, 0xff);
  EXPECT_EQ(control.take(), "");
  out(0x64, 0xd1);
  out(0x60, 0xfe);
  EXPECT_EQ(control.take(), "reset");
  out(0x92, 0x01);
  EXPECT_EQ(control.take(), "reset");
  out(0x92, 0x03);
  EXPECT_EQ(control.take(), "") << "only when the bit rises";
  out(0xcf9, 0x02);
  EXPECT_EQ(control.take(), "");
  out(0xcf9, 0x06);
  EXPECT_EQ(control.take(), "reset");
}

TEST_F(KeyboardTest, A20Gate) {
  EXPECT_EQ(in(0x92) & 2, 2) << "as firmware leaves it";
  out(0x64, 0xd1);
  out(0x60, 0xdd);
  EXPECT_EQ(in(0x92) & 2, 0);
  out(0x92, 0x02);
  out(0x64, 0xd0);
  EXPECT_EQ(in(0x60) & 2, 2);
  EXPECT_EQ(control.take(), "");
}

}  // namespace
}  // namespace gnomon::vmm
