// SPDX-License-Identifier: Apache-2.0
#ifndef TOOLS_WORDS_H_
#define TOOLS_WORDS_H_

#include <string>
#include <vector>

// What the values of options can be, for OptionSpec::words.

namespace gnomon::tools {

std::vector<std::string> verb_words();
std::vector<std::string> backend_words();
std::vector<std::string> tlb_words();
std::vector<std::string> cache_words();
std::vector<std::string> cost_words();
std::vector<std::string> price_words();  ///< "exit=" and so on
std::vector<std::string> guest_words();  ///< "thp=" and so on
std::vector<std::string> sweep_words();  ///< "slice=" and so on
std::vector<std::string> page_words();
std::vector<std::string> gdb_register_words();
std::vector<std::string> format_words();  ///< that are read
std::vector<std::string> output_words();  ///< formats that are written
std::vector<std::string> pattern_words();
std::vector<std::string> loader_words();
std::vector<std::string> board_words();
std::vector<std::string> demo_words();
std::vector<std::string> shell_words();
std::vector<std::string> action_words();  ///< of `config`

}  // namespace gnomon::tools

#endif  // TOOLS_WORDS_H_
