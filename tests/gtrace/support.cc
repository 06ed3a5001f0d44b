// SPDX-License-Identifier: Apache-2.0
#include "tests/gtrace/support.h"

#include "absl/strings/str_cat.h"

namespace gnomon::gtrace_test {

TraceBatch small_program(uint64_t seed, size_t records) {
  Random random(seed);
  TraceBatch batch;
  uint64_t stack = 0x7ffffffde000;
  while (batch.records.size() < records) {
    const uint64_t function = random.below(6);
    const uint64_t code = 0x401000 + function * 0x230;
    const uint64_t array = 0x7f0000000000 + random.below(4) * 0x100000;
    append(batch, store(stack -= 8, 8));
    for (uint64_t i = 0, turns = 1 + random.below(30); i < turns; ++i) {
      append(batch, fetch(code, 4));
      append(batch, load(array + i * 8, 8));
      append(batch, fetch(code + 4, 3));
      append(batch, {Gva(stack - 0x18), 4, RecordKind::kModify, false});
      append(batch, fetch(code + 7, 2));
    }
    if (random.percent(20)) append(batch, load(0x10000 + random.below(1 << 20), 1));
    if (random.percent(50)) stack += 8;
    if (random.percent(5)) append(batch, random_event(random, EventKind::kMap));
    if (random.percent(5)) {
      append(batch, switch_to(static_cast<uint32_t>(random.below(3)),
                              static_cast<uint32_t>(random.below(2))));
    }
  }
  batch.records.resize(records);
  return batch;
}

TraceEvent random_event(Random& random, EventKind kind) {
  const auto number = [&] { return random.next() >> random.below(64); };
  const auto narrow = [&] { return static_cast<uint32_t>(number() & 0xffffffff); };
  const EventFields fields = info(kind).fields;
  TraceEvent e{.kind = kind, .text = {}};
  if (fields & kFieldProcess) e.process = narrow();
  if (fields & kFieldThread) e.thread = narrow();
  if (fields & kFieldFlags) e.flags = narrow();
  if (fields & kFieldAddress) e.address = number();
  if (fields & kFieldLength) e.length = number();
  if (fields & kFieldValue) e.value = number();
  if (fields & kFieldExtra) e.extra = number();
  if (fields & kFieldFile) e.file = number();
  if (fields & kFieldText) {
    e.text.resize(random.percent(5) ? kMaxEventText : random.below(40));
    for (char& c : e.text) c = static_cast<char>(random.below(256));
  }
  return e;
}

}  // namespace gnomon::gtrace_test
