# SPDX-License-Identifier: Apache-2.0
#
# cmake -DCOMPILER=… -DSOURCE=… -DINCLUDES=a|b -DEXPECT=compiles|refused -P check.cmake

set(ENV{LC_ALL} C)  # plain quotes and English in the messages
string(REPLACE "|" ";" includes "${INCLUDES}")
set(command "${COMPILER}" -std=c++20 -fsyntax-only -fdiagnostics-color=never)
foreach(include IN LISTS includes)
  # The compiler searches its own folders by itself, in an order that -I would upset.
  if(include AND NOT include STREQUAL "/usr/include")
    list(APPEND command "-I${include}")
  endif()
endforeach()
if(EXPECT STREQUAL "refused")
  list(APPEND command -DGNOMON_MUST_FAIL)
endif()

execute_process(COMMAND ${command} "${SOURCE}"
  RESULT_VARIABLE result OUTPUT_VARIABLE messages ERROR_VARIABLE messages)

if(EXPECT STREQUAL "compiles")
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "does not compile without GNOMON_MUST_FAIL:\n${messages}")
  endif()
  return()
endif()

if(result EQUAL 0)
  message(FATAL_ERROR "compiles with GNOMON_MUST_FAIL, but must be refused")
endif()

# A list cannot hold message lines that contain ';' or brackets, so both are read as text.
file(READ "${SOURCE}" text)
string(REGEX MATCHALL "// expect-error: [^\n]+" expectations "${text}")
if(NOT expectations)
  message(FATAL_ERROR "the file has no '// expect-error: REGEX' line")
endif()
get_filename_component(file_name "${SOURCE}" NAME)
foreach(expectation IN LISTS expectations)
  string(REPLACE "// expect-error: " "" regex "${expectation}")
  # The error must be reported on a line of the file itself, not somewhere inside a header.
  if(NOT messages MATCHES "(^|[/\n])${file_name}:[0-9:]+ error: [^\n]*(${regex})")
    message(FATAL_ERROR "refused, but no error matches '${regex}':\n${messages}")
  endif()
endforeach()
