// SPDX-License-Identifier: Apache-2.0
#include "vmm/gdb/packet.h"

#include <gtest/gtest.h>

#include "absl/strings/str_format.h"

namespace gnomon::vmm {
namespace {

TEST(GdbPackets, AreFramedAndEscaped) {
  EXPECT_EQ(gdb::to_packet("OK"), "$OK#9a");
  EXPECT_EQ(gdb::to_packet("a#b}"),
            "$a}\x03"
            "b}]#" +
                absl::StrFormat("%02x", ('a' + '}' + 3 + 'b' + '}' + ']') & 0xff));
  gdb::PacketReader reader;
  reader.add("+-junk\x03" + gdb::to_packet("x$#}*y") + "$bad#00$half");
  using Kind = gdb::PacketEvent::Kind;
  EXPECT_EQ(reader.next()->kind, Kind::kAck);
  EXPECT_EQ(reader.next()->kind, Kind::kNak);
  EXPECT_EQ(reader.next()->kind, Kind::kInterrupt);
  EXPECT_EQ(reader.next()->payload, "x$#}*y");
  EXPECT_EQ(reader.next()->kind, Kind::kDamaged);
  EXPECT_FALSE(reader.next().has_value());
  reader.add("#");
  EXPECT_FALSE(reader.next().has_value());
  reader.add(absl::StrFormat("%02x", ('h' + 'a' + 'l' + 'f') & 0xff));
  EXPECT_EQ(reader.next()->payload, "half");
  reader.add("$" + std::string(1 << 20, 'x'));
  EXPECT_EQ(reader.next()->kind, Kind::kTooLong);
}

}  // namespace
}  // namespace gnomon::vmm
