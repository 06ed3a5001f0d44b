// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_NESTED_OPTIONS_H_
#define GNOMON_NESTED_OPTIONS_H_

#include "gnomon/base/units.h"

namespace gnomon {

/// How the host's own tables are made. As text: "levels=5,max_page=2M,ad=off".
struct NestedOptions {
  /// Levels of the host's tables, 4 or 5. With 4 a walk is shorter, and guest-physical memory at 2^48 and
  /// above cannot be reached.
  unsigned levels = 4;
  /// Largest page mapped with one entry: 4K, 2M or 1G. Larger ones shorten walks and need fewer tables;
  /// 4K shows what fragmentation costs.
  PageSize max_page = PageSize::k1G;
  /// EPT only: accessed and dirty flags in its entries (SDM vol. 3, 29.3.5). When they are on, the
  /// processor's reads of guest tables count as writes, so that a dirty-logged table is marked when it is
  /// walked, and a guest table in ROM exits on each walk. NPT always behaves like that (APM vol. 2,
  /// 15.25.5).
  bool ad = true;
};

}  // namespace gnomon

#endif  // GNOMON_NESTED_OPTIONS_H_
