# The one way a room becomes a target. A room's path is its name: src/plan -> target tutti_plan,
# src/device/host -> tutti_device_host, transports/shm -> tutti_transports_shm.
#
#   tutti_library(plan SOURCES a.cc b.cc DEPS tutti_ir tutti_base
#                 [PRIVATE_DEPS fmt::fmt])
# Without SOURCES it is a room of headers.
#
# Every room is a static library with hidden symbols that ends up in libtutti.so; tests link rooms
# directly. The include root is the repository, so an include path is a layer.
include_guard(GLOBAL)

function(tutti_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  set(private_deps ${ARG_PRIVATE_DEPS} tutti_warnings)
  if(ARG_SOURCES)
    add_library(tutti_${name} STATIC ${ARG_SOURCES})
    target_link_libraries(tutti_${name} PUBLIC ${ARG_DEPS} PRIVATE ${private_deps})
    set(scope PUBLIC)
  else()
    add_library(tutti_${name} INTERFACE)
    target_link_libraries(tutti_${name} INTERFACE ${ARG_DEPS})
    set(scope INTERFACE)
  endif()
  target_compile_features(tutti_${name} ${scope} cxx_std_20)
  target_include_directories(tutti_${name} ${scope}
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
  if(ARG_SOURCES)
    set_target_properties(tutti_${name} PROPERTIES
      POSITION_INDEPENDENT_CODE ON
      CXX_VISIBILITY_PRESET hidden
      C_VISIBILITY_PRESET hidden
      VISIBILITY_INLINES_HIDDEN ON)
  endif()
  set_property(GLOBAL APPEND PROPERTY TUTTI_ROOM_DEPS ${ARG_DEPS} ${ARG_PRIVATE_DEPS})
endfunction()

# For code that spends its time in the library and compiles slowly (CLI11, JSON): half the compile
# time. Tests even less so.
function(tutti_optimise_less target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()
function(tutti_optimise_tests target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O0>)
  if(TUTTI_SANITIZE MATCHES undefined)
    # What is looked for is undefined behaviour of the library, not of its tests.
    target_compile_options(${target} PRIVATE -O0 -fno-sanitize=undefined)
  endif()
endfunction()

# See TuttiCompiler: the address sanitizer's checks of this room take longer to run, as calls, than
# to compile inlined.
function(tutti_inline_checks target)
  if(TUTTI_SANITIZE MATCHES address AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE
      "SHELL:--param asan-instrumentation-with-call-threshold=7000")
  endif()
endfunction()

# tutti_program(all_reduce_perf SOURCES main.cc DEPS tutti::tutti [OUTPUT_NAME tutti]
#               [NO_INSTALL]): an executable in bin/, part of the `programs` target, installed.
function(tutti_program name)
  cmake_parse_arguments(ARG "NO_INSTALL" "OUTPUT_NAME" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE
    ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} tutti_warnings)
  if(ARG_OUTPUT_NAME)
    set_target_properties(${name} PROPERTIES OUTPUT_NAME ${ARG_OUTPUT_NAME})
  endif()
  if(NOT ARG_NO_INSTALL)
    set_property(GLOBAL APPEND PROPERTY TUTTI_INSTALL_PROGRAMS ${name})
  endif()
endfunction()

# What every test includes, compiled once: half of a test's compile time.
function(tutti_test_prelude)
  if(NOT TARGET tutti_test_prelude)
    set(source "${PROJECT_BINARY_DIR}/generated/tutti/test_prelude.cc")
    file(CONFIGURE OUTPUT "${source}" CONTENT "")
    add_library(tutti_test_prelude OBJECT "${source}")
    target_link_libraries(tutti_test_prelude PRIVATE GTest::gtest_main fmt::fmt tutti_warnings)
    target_precompile_headers(tutti_test_prelude PRIVATE
      <gtest/gtest.h> <fmt/format.h> <algorithm> <functional> <map> <memory> <optional> <set>
      <string> <vector>)
    tutti_optimise_tests(tutti_test_prelude)
  endif()
endfunction()

# tutti_unit_test(plan_bound SOURCES bound_test.cc DEPS tutti_plan): one GoogleTest program that
# ctest runs as one test, with a time limit in seconds (default 300).
#
# LABELS adds to those of the folder (tests/CMakeLists.txt: unit, multi, faults, and `sanitize`,
# which the sanitizer stages of scripts/test run); NO_SANITIZE keeps a test out of those stages:
# sanitizer builds do not even compile it. SINGLE_THREADED says that the thread sanitizer has nothing
# to find. PROCESSORS is how many of ctest's -j slots it takes (default: the folder's).
function(tutti_unit_test name)
  cmake_parse_arguments(ARG "NO_SANITIZE;SINGLE_THREADED" "TIMEOUT;PROCESSORS" "SOURCES;DEPS;LABELS" ${ARGN})
  if(TUTTI_SANITIZE AND (ARG_NO_SANITIZE OR NOT "sanitize" IN_LIST TUTTI_TEST_LABELS))
    return()
  endif()
  if(TUTTI_SANITIZE MATCHES thread AND ARG_SINGLE_THREADED)
    return()
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  if(TUTTI_SANITIZE)
    math(EXPR ARG_TIMEOUT "2 * ${ARG_TIMEOUT}")
  endif()
  if(NOT ARG_PROCESSORS)
    set(ARG_PROCESSORS 1)
    if(TUTTI_TEST_PROCESSORS)
      set(ARG_PROCESSORS ${TUTTI_TEST_PROCESSORS})
    endif()
  endif()
  set(labels ${TUTTI_TEST_LABELS} ${ARG_LABELS})
  list(REMOVE_DUPLICATES labels)
  if(ARG_NO_SANITIZE)
    list(REMOVE_ITEM labels sanitize)
  endif()
  add_executable(test_${name} ${ARG_SOURCES})
  target_include_directories(test_${name} PRIVATE
    ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(test_${name} PRIVATE ${ARG_DEPS} GTest::gtest_main fmt::fmt tutti_warnings)
  tutti_optimise_tests(test_${name})
  tutti_test_prelude()
  target_precompile_headers(test_${name} REUSE_FROM tutti_test_prelude)
  add_test(NAME ${name} COMMAND test_${name})
  set_tests_properties(${name} PROPERTIES
    TIMEOUT ${ARG_TIMEOUT} LABELS "${labels}" PROCESSORS ${ARG_PROCESSORS}
    ENVIRONMENT TUTTI_CACHE_DIR=off)  # tests that want plans to be kept name a folder
endfunction()

# tutti_add_rooms(src/base src/ir): add_subdirectory for each that has a CMakeLists.txt; one that
# appears later is noticed by the next build.
function(tutti_add_rooms)
  foreach(room IN LISTS ARGN)
    file(GLOB found CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${room}/CMakeLists.txt")
    if(found)
      add_subdirectory("${PROJECT_SOURCE_DIR}/${room}" "${PROJECT_BINARY_DIR}/${room}")
    else()
      message(STATUS "Tutti: no room at ${room}")
    endif()
  endforeach()
endfunction()

# A room that depends on a room which does not exist would fail only at link time, with a riddle.
function(tutti_check_rooms)
  get_property(deps GLOBAL PROPERTY TUTTI_ROOM_DEPS)
  list(REMOVE_DUPLICATES deps)
  set(unknown "")
  foreach(dep IN LISTS deps)
    if(dep MATCHES "^tutti" AND NOT TARGET ${dep})
      list(APPEND unknown ${dep})
    endif()
  endforeach()
  if(unknown)
    message(WARNING "Tutti: no room makes these targets, which others depend on: ${unknown}")
  endif()
endfunction()
