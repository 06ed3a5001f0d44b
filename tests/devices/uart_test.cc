// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/uart.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace gnomon::vmm {
namespace {

class UartTest : public ::testing::Test {
 protected:
  UartTest()
      : uart([this](absl::string_view bytes) { sent.append(bytes.data(), bytes.size()); },
             [this](bool high) {
               if (high && !line) ++edges;
               line = high;
             }) {}
  uint8_t in(uint16_t offset) { return uart.read_port(static_cast<uint16_t>(0x3f8 + offset)); }
  void out(uint16_t offset, uint8_t v) {
    uart.write_port(static_cast<uint16_t>(0x3f8 + offset), v);
  }

  std::string sent;
  bool line = false;
  int edges = 0;
  Uart uart;
};

// A teaching Unix: no FIFO, 9600 baud, receive interrupts.
TEST_F(UartTest, InterruptPerByteWithoutFifo) {
  out(2, 0);
  out(3, 0x80);
  out(0, 115200 / 9600);
  out(1, 0);
  out(3, 0x03);
  out(4, 0);
  out(1, 0x01);
  EXPECT_NE(in(5), 0xff);
  in(2);
  in(0);
  for (const char c : {'h', 'i'}) {
    EXPECT_NE(in(5) & 0x20, 0);
    out(0, static_cast<uint8_t>(c));
  }
  EXPECT_EQ(sent, "hi");
  EXPECT_FALSE(line);
  EXPECT_EQ(uart.receive("abc"), 1u) << "there is room for one";
  EXPECT_TRUE(line);
  EXPECT_EQ(in(2), 0x04);
  EXPECT_EQ(in(5) & 1, 1);
  EXPECT_EQ(in(0), 'a');
  EXPECT_FALSE(line);
  EXPECT_EQ(in(5) & 1, 0);
  EXPECT_EQ(in(2), 0x01);
}

TEST_F(UartTest, FifoOfSixteenWithTriggerLevel) {
  out(2, 0x87);  // enabled, cleared, trigger at 8
  out(1, 0x01);
  EXPECT_EQ(in(2), 0xc1);
  EXPECT_EQ(uart.receive("0123456"), 7u);
  EXPECT_EQ(in(2), 0xcc) << "below the trigger: time-out";
  EXPECT_EQ(uart.receive("789abcdefgh"), 9u);
  EXPECT_EQ(in(2), 0xc4);
  EXPECT_EQ(uart.receive("x"), 0u);
  for (const char c : std::string("0123456789abcdef")) {
    EXPECT_TRUE(line);
    EXPECT_EQ(in(0), c);
  }
  EXPECT_FALSE(line);
  uart.receive("zz");
  out(2, 0x03);  // clears the receiver
  EXPECT_EQ(in(5) & 1, 0);
  EXPECT_FALSE(line);
}

TEST_F(UartTest, EmptyTransmitterInterruptsOnceForEachFill) {
  out(1, 0x02);
  EXPECT_TRUE(line) << "enabling it reports the empty transmitter";
  EXPECT_EQ(in(2), 0x02);
  EXPECT_FALSE(line) << "reading IIR takes it back";
  EXPECT_EQ(in(2), 0x01);
  const int before = edges;
  out(0, 'x');
  EXPECT_EQ(edges, before + 1);
  out(0, 'y');
  EXPECT_EQ(edges, before + 2) << "a new edge for the PIC";
  out(1, 0x00);
  EXPECT_FALSE(line);
}

// How Linux tells a real port from a hole in port space.
TEST_F(UartTest, ProbesFindA16550A) {
  out(1, 0);
  EXPECT_EQ(in(1), 0);
  out(1, 0x0f);
  EXPECT_EQ(in(1), 0x0f);
  out(1, 0xf0);
  EXPECT_EQ(in(1), 0) << "no power management";
  out(4, 0x10 | 0x0a);
  EXPECT_EQ(in(6) & 0xf0, 0x90);
  out(4, 0x10);
  out(2, 0x01);
  EXPECT_EQ(in(2) >> 6, 3);
  out(7, 0x5a);
  EXPECT_EQ(in(7), 0x5a);
  out(3, 0x80);
  out(0, 0x34);
  out(1, 0x12);
  EXPECT_EQ(in(0), 0x34);
  EXPECT_EQ(in(1), 0x12);
  out(3, 0x03);
  EXPECT_EQ(in(3), 0x03);
}

// What is typed while the guest starts waits outside the port, until the guest listens. Setting the
// port up is not listening, nor is sending, although one looks at the line status for it.
TEST_F(UartTest, TheFirstByteWaitsForAGuestThatListens) {
  // As Linux does it, between its messages by polling.
  const auto set_up = [this] {
    for (const char c : {'1', '2', '3'}) {
      for (int i = 0; i < 3; ++i) in(5);
      out(0, static_cast<uint8_t>(c));
    }
    in(5);
    out(3, 0x80);
    out(0, 12);
    out(1, 0);
    out(3, 0x03);
    out(2, 0x07);
    for (const uint16_t offset : {5, 0, 2, 6, 5, 0, 2, 6}) in(offset);
    out(4, 0x0b);
    out(1, 0x0f);  // are there the four interrupts?
    out(1, 0x00);
  };
  const std::function<void()> ways[] = {[this] { out(1, 0x01); },
                                        [this] {
                                          for (int i = 0; i < 16; ++i) in(5);
                                        }};
  for (const auto& listen : ways) {
    for (int i = 0; i < 10; ++i) {
      set_up();
      ASSERT_EQ(uart.receive("hello"), 0u) << i;
    }
    listen();
    EXPECT_EQ(uart.receive("hello"), 5u);
    EXPECT_EQ(in(5) & 1, 1);
    EXPECT_EQ(in(0), 'h') << "the first byte is the first that was typed";
    uart.reset();
    EXPECT_EQ(uart.receive("h"), 0u) << "a reset forgets that somebody listened";
  }
}

TEST_F(UartTest, LoopbackReceivesWhatItSends) {
  out(4, 0x1e);
  for (const uint8_t c : {0xae, 0x01}) out(0, c);
  EXPECT_EQ(sent, "");
  EXPECT_EQ(uart.receive("q"), 0u) << "the line is cut off";
  EXPECT_EQ(in(5) & 0x03, 0x03) << "one byte, and an overrun without FIFO";
  EXPECT_EQ(in(5) & 0x02, 0x00) << "reported once";
  EXPECT_EQ(in(0), 0xae);
  out(1, 0x08);
  in(6);
  EXPECT_FALSE(line);
  out(4, 0x1f);  // DTR becomes DSR
  EXPECT_TRUE(line);
  EXPECT_EQ(in(2), 0x00);
  EXPECT_EQ(in(6), 0xf2);
  EXPECT_FALSE(line);
}

// A loop that draws something between its looks for a key.
TEST_F(UartTest, AGuestThatAlsoSendsIsHeardSomeTime) {
  unsigned rounds = 0;
  for (; uart.receive("k") == 0 && rounds < (2u << 20); ++rounds) {
    in(5);
    out(0, '.');
  }
  EXPECT_GT(rounds, 1000u);
  EXPECT_EQ(rounds, 1u << 20);
}

TEST_F(UartTest, WhoSetsThePortUpIsNotTheOneWhoPolledItBefore) {
  for (int i = 0; i < 16; ++i) in(5);
  EXPECT_EQ(uart.receive("b"), 1u);
  out(2, 0x07);
  EXPECT_EQ(uart.receive("kernel"), 0u);
  out(1, 0x01);
  EXPECT_EQ(uart.receive("kernel"), 6u);
}

TEST_F(UartTest, LineStatusComesFirst) {
  out(4, 0x10);
  out(1, 0x0f);
  out(0, 'a');
  out(0, 'b');
  EXPECT_EQ(in(2), 0x06);
  in(5);
  EXPECT_EQ(in(2), 0x04);
  in(0);
  EXPECT_EQ(in(2), 0x02);
  EXPECT_EQ(in(2), 0x00);
  in(6);
  EXPECT_EQ(in(2), 0x01);
}

}  // namespace
}  // namespace gnomon::vmm
