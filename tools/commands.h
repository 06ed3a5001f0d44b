// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_COMMANDS_H_
#define TOOLS_COMMANDS_H_

#include <string>

#include "tools/options.h"

// The verbs, each in a file of its own with its options.

namespace gnomon::tools {

extern const Verb kRunVerb, kDemoVerb;
extern const Verb kReplayVerb, kCompareVerb, kConfigVerb;
extern const Verb kRecordVerb, kConvertVerb, kGenVerb, kInfoVerb, kFormatsVerb;
extern const Verb kCountersVerb, kPresetsVerb, kBackendsVerb, kVersionVerb;
extern const Verb kManVerb, kCompletionVerb, kHelpVerb;

/// Options that many verbs have.
inline constexpr OptionSpec kJsonOption = {"--json", 0, "", "", "print one JSON document"};
inline constexpr OptionSpec kQuietOption = {"--quiet", 'q', "", "",
                                            "no progress and no notes on standard error"};

/// Help on the whole program, and on one verb.
std::string program_help();
std::string verb_help(const Verb& verb);
/// "gnomon convert INPUT OUTPUT [options]".
std::string verb_usage(const Verb& verb);
/// What an option does, with its default.
std::string help_on(const OptionSpec& option);

}  // namespace gnomon::tools

#endif  // TOOLS_COMMANDS_H_
