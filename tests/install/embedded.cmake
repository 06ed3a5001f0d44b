# SPDX-License-Identifier: Apache-2.0
include("${TEST_DIR}/steps.cmake")

# Each package but Abseil is hidden, so asking for one stops the configuration.
step("configuring with Abseil alone"
  "${CMAKE_COMMAND}" -S "${TEST_DIR}/embedded" -B "${SCRATCH}/build" ${toolchain}
  "-DGNOMON_SOURCE_DIR=${SOURCE_DIR}"
  -DCMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON
  -DCMAKE_DISABLE_FIND_PACKAGE_CLI11=ON
  -DCMAKE_DISABLE_FIND_PACKAGE_GTest=ON
  -DCMAKE_DISABLE_FIND_PACKAGE_benchmark=ON)
