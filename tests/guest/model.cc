// SPDX-License-Identifier: Apache-2.0
#include "tests/guest/model.h"

namespace gnomon::guest_test {
namespace {

constexpr MapFlags kRights = kMapRead | kMapWrite | kMapExec;
constexpr uint64_t kFirstMemory = 1 << 20;

}  // namespace

void Model::map(uint32_t process, uint64_t first, uint64_t count, MapFlags flags, uint64_t file,
                uint64_t offset_pages) {
  uint64_t object = file;
  if (file == 0 && (flags & kMapShared) != 0) object = ++memories_;
  for (uint64_t i = 0; i < count; ++i) {
    Page page;
    page.flags = flags & (kRights | kMapShared);
    if (object != 0) page.object = {object, (file != 0 ? offset_pages : 0) + i};
    space(process)[first + i] = page;
  }
}

void Model::unmap(uint32_t process, uint64_t first, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) space(process)[first + i].reset();
}

void Model::protect(uint32_t process, uint64_t first, uint64_t count, MapFlags rights) {
  for (uint64_t i = 0; i < count; ++i) {
    std::optional<Page>& page = space(process)[first + i];
    if (page) page->flags = (page->flags & ~kRights) | (rights & kRights);
  }
}

void Model::drop(uint32_t process, uint64_t first, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    std::optional<Page>& page = space(process)[first + i];
    if (page) page->own.reset();
  }
}

void Model::move(uint32_t process, uint64_t from, uint64_t count, uint64_t to, uint64_t new_count) {
  Space& s = space(process);
  const std::vector<std::optional<Page>> old(s.begin() + static_cast<int64_t>(from),
                                             s.begin() + static_cast<int64_t>(from + count));
  unmap(process, from, count);
  for (uint64_t i = 0; i < new_count; ++i) {
    std::optional<Page>& page = s[to + i];
    page = old[std::min(i, count - 1)];
    if (i < count) continue;
    page->own.reset();
    if (page->object.first != 0) page->object.second += i - (count - 1);
  }
}

bool Model::permits(uint32_t process, uint64_t page, AccessOp op) {
  const std::optional<Page>& p = space(process)[page];
  if (!p) return false;
  switch (op) {
    case AccessOp::kRead: return (p->flags & kRights) != 0;
    case AccessOp::kWrite: return (p->flags & kMapWrite) != 0;
    case AccessOp::kFetch: return (p->flags & kMapExec) != 0;
  }
  return false;
}

void Model::touched(uint32_t process, uint64_t page) {
  const Page& p = *space(process)[page];
  if (p.object.first != 0 && !p.own) cached_.insert(p.object);
}

uint64_t Model::value(uint32_t process, uint64_t page) {
  const Page& p = *space(process)[page];
  if (p.own) return p.own->value;
  const auto it = contents_.find(p.object);
  return p.object.first == 0 || it == contents_.end() ? 0 : it->second;
}

void Model::write(uint32_t process, uint64_t page, uint64_t value) {
  touched(process, page);
  Page& p = *space(process)[page];
  if (p.shared()) {
    contents_[p.object] = value;
    return;
  }
  uint64_t holders = 0;
  if (p.own) {
    for (const auto& [id, s] : spaces) {
      for (const auto& other : s)
        holders += other && other->own && other->own->token == p.own->token;
    }
  }
  p.own = {holders == 1 ? p.own->token : ++tokens_, value};
}

uint64_t Model::cached() const {
  std::set<uint64_t> mapped;
  for (const auto& [id, s] : spaces) {
    for (const auto& page : s) {
      if (page) mapped.insert(page->object.first);
    }
  }
  uint64_t count = 0;
  for (const ObjectPage& page : cached_) {
    count += page.first < kFirstMemory || mapped.contains(page.first);
  }
  return count;
}

}  // namespace gnomon::guest_test
