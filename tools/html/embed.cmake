# SPDX-License-Identifier: Apache-2.0
#
# cmake -D OUTPUT=assets.cc -D ASSETS=folder -D CHART=chart.min.js -D SCRIPTS=a.js;b.js
#   -P embed.cmake
#
# Writes the parts of the report page as C++ string literals. The scripts and the style sheet come
# with their hashes: the page's content security policy allows exactly these and nothing else.

cmake_minimum_required(VERSION 3.25)

# Compilers limit the length of one literal; adjacent ones are joined.
function(as_literals text result)
  if(text MATCHES "\\)gnomon\"")
    message(FATAL_ERROR "embed.cmake: an asset contains the end of a raw string, )gnomon\"")
  endif()
  string(LENGTH "${text}" length)
  set(literals "")
  set(position 0)
  while(position LESS length)
    string(SUBSTRING "${text}" ${position} 8000 piece)
    string(APPEND literals "\n    R\"gnomon(${piece})gnomon\"")
    math(EXPR position "${position} + 8000")
  endwhile()
  set(${result} "${literals}" PARENT_SCOPE)
endfunction()

# The form a content security policy wants: sha256- and base64. CMake knows hexadecimal only.
function(policy_hash text result)
  set(alphabet "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
  string(SHA256 hex "${text}")
  set(base64 "")
  foreach(at RANGE 0 62 6)
    string(SUBSTRING "${hex}00" ${at} 6 group)  # 32 bytes, and one to fill the last group
    foreach(shift IN ITEMS 18 12 6 0)
      math(EXPR index "(0x${group} >> ${shift}) & 63")
      string(SUBSTRING "${alphabet}" ${index} 1 letter)
      string(APPEND base64 "${letter}")
    endforeach()
  endforeach()
  string(SUBSTRING "${base64}" 0 43 base64)
  set(${result} "sha256-${base64}=" PARENT_SCOPE)
endfunction()

file(READ "${ASSETS}/report.html" template)
file(READ "${ASSETS}/report.css" style)
file(READ "${CHART}" chart)
set(script "")
foreach(name IN LISTS SCRIPTS)
  file(READ "${ASSETS}/${name}" part)
  string(APPEND script "${part}")
endforeach()

set(code "// Made by tools/html/embed.cmake\n#include \"tools/html/assets.h\"\n\nnamespace gnomon::tools {\n\n")
foreach(part IN ITEMS template style chart script)
  string(SUBSTRING "${part}" 0 1 initial)
  string(SUBSTRING "${part}" 1 -1 rest)
  string(TOUPPER "${initial}" initial)
  # The end of an element inside it would cut the page in two.
  if(NOT part STREQUAL "template" AND "${${part}}" MATCHES "</[Ss][CcTt][RrYy]|<!--")
    message(FATAL_ERROR "embed.cmake: the ${part} contains </script, </style or <!--")
  endif()
  as_literals("${${part}}" literals)
  string(APPEND code "const char kReport${initial}${rest}[] =${literals};\n")
  if(NOT part STREQUAL "template")
    policy_hash("${${part}}" hash)
    string(APPEND code "const char kReport${initial}${rest}Hash[] = \"${hash}\";\n")
  endif()
endforeach()
string(APPEND code "\n}  // namespace gnomon::tools\n")
file(WRITE "${OUTPUT}" "${code}")
