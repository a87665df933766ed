# Every outside library, as one target each. Rooms name these and nothing else:
#
#   Threads::Threads  fmt::fmt  sodium::sodium  hwy::hwy  hwloc::hwloc  nlohmann_json::nlohmann_json
#   tools only:       spdlog::spdlog_header_only  CLI11::CLI11
#   tests and perf:   GTest::gtest_main  GTest::gmock_main  benchmark::benchmark
#
# Libraries that are missing are reported together, with the names of their packages. hwloc is
# optional: rooms ask if(TARGET hwloc::hwloc).
# libsodium and expat (and hwy, where it comes as an archive) are linked statically, so that a user
# of libtutti.so needs no extra package.
include_guard(GLOBAL)

set(TUTTI_MISSING "")
macro(tutti_missing package)
  list(APPEND TUTTI_MISSING ${package})
endmacro()

# tutti_usable_archive(result /usr/lib/libx.a): may all of this archive go into libtutti.so? Code
# compiled for executables (-fPIE, as Debian's libsodium.a is) may, since tutti.map makes every
# symbol of it local; code compiled for fixed addresses may not.
function(tutti_usable_archive result archive)
  string(MAKE_C_IDENTIFIER "TUTTI_PIC_${archive}" cached)
  if(NOT DEFINED ${cached})
    set(source "${PROJECT_BINARY_DIR}/generated/tutti/pic_probe.c")
    file(WRITE "${source}" "int tuttiPicProbe(void) { return 0; }\n")
    try_compile(works "${PROJECT_BINARY_DIR}/CMakeFiles/pic_probe" SOURCES "${source}"
      COMPILE_DEFINITIONS -fPIC
      LINK_OPTIONS -shared "LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/tutti.map"
      LINK_LIBRARIES -Wl,--whole-archive "${archive}" -Wl,--no-whole-archive)
    set(${cached} ${works} CACHE INTERNAL "position independent: ${archive}")
  endif()
  set(${result} ${${cached}} PARENT_SCOPE)
endfunction()

# tutti_imported(sodium::sodium HEADER sodium.h NAMES sodium PACKAGE libsodium-dev
#                [PREFER_STATIC] [OPTIONAL])
function(tutti_imported target)
  cmake_parse_arguments(ARG "PREFER_STATIC;OPTIONAL" "HEADER;PACKAGE" "NAMES" ${ARGN})
  string(MAKE_C_IDENTIFIER "${target}" id)
  find_path(TUTTI_${id}_INCLUDE ${ARG_HEADER})
  find_library(TUTTI_${id}_SHARED NAMES ${ARG_NAMES})
  set(library "${TUTTI_${id}_SHARED}")
  if(ARG_PREFER_STATIC)
    list(TRANSFORM ARG_NAMES PREPEND lib OUTPUT_VARIABLE archives)
    list(TRANSFORM archives APPEND .a)
    find_library(TUTTI_${id}_ARCHIVE NAMES ${archives})
    mark_as_advanced(TUTTI_${id}_ARCHIVE)
    if(TUTTI_${id}_ARCHIVE)
      tutti_usable_archive(usable "${TUTTI_${id}_ARCHIVE}")
      if(usable)
        set(library "${TUTTI_${id}_ARCHIVE}")
      endif()
    endif()
  endif()
  mark_as_advanced(TUTTI_${id}_INCLUDE TUTTI_${id}_SHARED)
  if(NOT TUTTI_${id}_INCLUDE OR NOT library)
    if(ARG_OPTIONAL)
      message(STATUS "Tutti: no ${target} (package ${ARG_PACKAGE}); going on without")
    else()
      set(TUTTI_MISSING "${TUTTI_MISSING};${ARG_PACKAGE}" PARENT_SCOPE)
    endif()
    return()
  endif()
  add_library(${target} UNKNOWN IMPORTED)
  set_target_properties(${target} PROPERTIES
    IMPORTED_LOCATION "${library}"
    INTERFACE_INCLUDE_DIRECTORIES "${TUTTI_${id}_INCLUDE}"
    INTERFACE_LINK_LIBRARIES Threads::Threads)
  message(STATUS "Tutti: ${target} is ${library}")
endfunction()

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

find_package(fmt QUIET)
if(NOT TARGET fmt::fmt)
  tutti_missing(libfmt-dev)
endif()
tutti_imported(sodium::sodium HEADER sodium.h NAMES sodium PACKAGE libsodium-dev PREFER_STATIC)
tutti_imported(hwy::hwy HEADER hwy/highway.h NAMES hwy PACKAGE libhwy-dev PREFER_STATIC)
if(TARGET hwy::hwy AND NOT TUTTI_hwy__hwy_ARCHIVE)
  set_property(TARGET hwy::hwy PROPERTY INTERFACE_COMPILE_DEFINITIONS HWY_SHARED_DEFINE)
endif()
tutti_imported(expat::expat HEADER expat.h NAMES expat PACKAGE libexpat1-dev PREFER_STATIC)
tutti_imported(hwloc::hwloc HEADER hwloc.h NAMES hwloc PACKAGE libhwloc-dev OPTIONAL)

find_package(spdlog QUIET)
if(NOT TARGET spdlog::spdlog_header_only)
  tutti_missing(libspdlog-dev)
endif()
find_package(CLI11 QUIET)
if(NOT TARGET CLI11::CLI11)
  tutti_missing(libcli11-dev)
endif()
find_package(nlohmann_json QUIET)
if(NOT TARGET nlohmann_json::nlohmann_json)
  tutti_missing(nlohmann-json3-dev)
endif()
if(TUTTI_BUILD_TESTS)
  find_package(GTest QUIET)
  if(NOT TARGET GTest::gtest_main)
    tutti_missing("libgtest-dev;libgmock-dev")
  endif()
endif()
if(TUTTI_BUILD_PERF)
  find_package(benchmark QUIET)
  if(NOT TARGET benchmark::benchmark)
    tutti_missing(libbenchmark-dev)
  endif()
endif()

if(TUTTI_MISSING)
  list(FILTER TUTTI_MISSING INCLUDE REGEX ".")
  list(REMOVE_DUPLICATES TUTTI_MISSING)
  list(JOIN TUTTI_MISSING " " tutti_missing_text)
  message(FATAL_ERROR "Tutti needs libraries that are not here. On Debian or Ubuntu:\n"
    "  sudo apt-get install ${tutti_missing_text}\n"
    "(scripts/demo and scripts/test do this by themselves.)")
endif()
