// SPDX-License-Identifier: Apache-2.0
#include "tools/commands.h"
#include "tools/options.h"

namespace gnomon::tools {
namespace {

// As listed in help: the main jobs first.
constexpr const Verb* kVerbs[] = {
    &kRunVerb,      &kCompareVerb, &kReplayVerb,  &kRecordVerb,  &kConvertVerb, &kGenVerb,     &kInfoVerb,
    &kFormatsVerb,  &kDemoVerb,     &kConfigVerb,  &kCountersVerb, &kPresetsVerb, &kBackendsVerb, &kVersionVerb,
    &kManVerb,      &kCompletionVerb, &kHelpVerb,
};

}  // namespace

absl::Span<const Verb* const> verbs() { return kVerbs; }

}  // namespace gnomon::tools
