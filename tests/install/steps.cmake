# SPDX-License-Identifier: Apache-2.0

# Runs a command; stops the test with the command's output when it fails. The output is left in
# step_output.
macro(step title)
  execute_process(COMMAND ${ARGN}
    RESULT_VARIABLE step_result OUTPUT_VARIABLE step_output ERROR_VARIABLE step_output)
  if(NOT step_result EQUAL 0)
    message(FATAL_ERROR "${title} failed (${step_result}):\n${step_output}")
  endif()
  message(STATUS "${title}: ok")
endmacro()

# Every configuration uses the compiler and the generator of the build under test.
set(toolchain -G "${GENERATOR}" "-DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}"
  "-DCMAKE_CXX_COMPILER=${COMPILER}")

file(REMOVE_RECURSE "${SCRATCH}")
file(MAKE_DIRECTORY "${SCRATCH}")
