# SPDX-License-Identifier: Apache-2.0
include("${TEST_DIR}/steps.cmake")

step("installing everything"
  "${CMAKE_COMMAND}" --install "${BUILD_DIR}" --prefix "${SCRATCH}/full")

# The development component must be enough to build with.
set(prefix "${SCRATCH}/devel")
foreach(component IN ITEMS gnomon_devel gnomon_runtime)
  step("installing ${component}"
    "${CMAKE_COMMAND}" --install "${BUILD_DIR}" --prefix "${prefix}" --component ${component})
endforeach()
if(EXISTS "${prefix}/bin")
  message(FATAL_ERROR "the library components install programs")
endif()

# The mmu library's own headers, and none of the other rooms.
file(GLOB_RECURSE headers RELATIVE "${prefix}/include/gnomon" "${prefix}/include/gnomon/*")
if(NOT EXISTS "${prefix}/include/gnomon/backend.h")
  message(FATAL_ERROR "headers are missing; there are: ${headers}")
endif()
foreach(header IN LISTS headers)
  cmake_path(GET header PARENT_PATH folder)
  if(NOT IS_DIRECTORY "${SOURCE_DIR}/mmu/${folder}")
    message(FATAL_ERROR "${header} is installed, but mmu has no folder ${folder}")
  endif()
endforeach()

# A package that names its build tree works only where it was built.
file(GLOB_RECURSE package_files "${prefix}/*.cmake")
if(NOT package_files)
  message(FATAL_ERROR "no CMake package was installed")
endif()
foreach(file IN LISTS package_files)
  file(READ "${file}" text)
  foreach(directory IN ITEMS "${SOURCE_DIR}/" "${BUILD_DIR}/")
    string(FIND "${text}" "${directory}" position)
    if(NOT position EQUAL -1)
      message(FATAL_ERROR "${file} mentions ${directory}")
    endif()
  endforeach()
endforeach()

# The package must keep working where it is moved to.
file(RENAME "${prefix}" "${SCRATCH}/moved")
step("configuring the consumer"
  "${CMAKE_COMMAND}" -S "${TEST_DIR}/consumer" -B "${SCRATCH}/consumer" ${toolchain}
  -DCMAKE_BUILD_TYPE=Release "-DCMAKE_PREFIX_PATH=${SCRATCH}/moved" "-Dexpected_version=${VERSION}")
step("building the consumer" "${CMAKE_COMMAND}" --build "${SCRATCH}/consumer")
step("running the consumer" "${SCRATCH}/consumer/consumer")
if(NOT step_output MATCHES "^gnomon ${VERSION}\n")
  message(FATAL_ERROR "the consumer printed:\n${step_output}")
endif()
