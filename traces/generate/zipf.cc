// SPDX-License-Identifier: Apache-2.0
//
// zipf: some pages far more often than others.
#include <memory>

#include "traces/generate/permutation.h"
#include "traces/generate/rank_law.h"
#include "traces/generate/region.h"

namespace gnomon::generate {
namespace {

struct ByPopularity {
  std::shared_ptr<const RankLaw> law;  // its tables are shared by the copies for each batch
  Permutation page_of_rank;
  bool scatter;
  uint64_t places_in_page, size;
  uint64_t operator()(Random& random) const {
    const uint64_t rank = law->draw(random) - 1;
    const uint64_t page = scatter ? page_of_rank(rank) : rank;
    return page * kPage + random.below(places_in_page) * size;
  }
};

}  // namespace

Created create_zipf(absl::string_view options) {
  absl::StatusOr<Keys> keys = Keys::parse("zipf", options);
  if (!keys.ok()) return keys.status();
  const CommonKeys common = common_keys(*keys);
  const uint64_t bytes = keys->bytes("bytes", uint64_t{256} << 20, kPage, kMostBytes);
  const Law law = keys->choice<Law>("law", Law::kZipf,
                                    {{{"zipf", Law::kZipf}, {"loguniform", Law::kLogUniform}}});
  const uint64_t theta = keys->number("theta", 99, 0, 1000);
  const bool scatter = keys->flag("scatter", true);
  const AccessKeys access = access_keys(*keys);
  return create_region(*keys, common, access, bytes, /*modify=*/false, [&] {
    const uint64_t pages = bytes / kPage;
    // Another seed than the draws': where a page lies has nothing to do with when it is used.
    const Permutation page_of_rank(pages, mix(common.seed));
    return ByPopularity{std::make_shared<const RankLaw>(law, pages, theta), page_of_rank, scatter,
                        kPage / access.size, access.size};
  });
}

}  // namespace gnomon::generate
