# Language level, warnings, sanitizers and output folders, for every target of the project.
include_guard(GLOBAL)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
  set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
  set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
  set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)
  set(CMAKE_LINK_DEPENDS_NO_SHARED ON)  # a new libtutti.so relinks no program
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
  endif()
  find_program(TUTTI_CCACHE ccache)
  mark_as_advanced(TUTTI_CCACHE)
  if(TUTTI_CCACHE)
    foreach(language C CXX)
      if(NOT DEFINED CMAKE_${language}_COMPILER_LAUNCHER)
        # What a cached precompiled header must allow (ccache's manual, "Precompiled headers").
        set(CMAKE_${language}_COMPILER_LAUNCHER
          env "CCACHE_SLOPPINESS=pch_defines,time_macros" "${TUTTI_CCACHE}")
      endif()
    endforeach()
  endif()
endif()

if(PROJECT_IS_TOP_LEVEL AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC collects its garbage first at 512 MiB, which few units reach: a tenth less compile time.
  add_compile_options("SHELL:--param ggc-min-heapsize=524288")
endif()

# A program finds libtutti.so beside itself, wherever the prefix is moved to.
file(RELATIVE_PATH tutti_bin_to_lib
  "${CMAKE_INSTALL_FULL_BINDIR}" "${CMAKE_INSTALL_FULL_LIBDIR}")
set(TUTTI_INSTALL_RPATH "$ORIGIN/${tutti_bin_to_lib}")

# The warnings of every target. -Wconversion is left to clang-tidy (bugprone-narrowing-conversions):
# in GCC it also fires on every compound assignment of a type smaller than int.
add_library(tutti_warnings INTERFACE)
target_compile_options(tutti_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wundef -Wformat=2 -Wcast-align -Wvla
  -Wno-missing-field-initializers  # designated initialisers name what differs from the default
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual -Wextra-semi>
  $<$<CXX_COMPILER_ID:GNU>:-Wno-psabi>)

if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # A unit is no header: its files' unnamed namespaces are its own.
  target_compile_options(tutti_warnings INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>)
endif()

# AUTO: errors with the compilers that the project is developed with; the new warnings of a newer
# one must not stop a newcomer's first build.
set(tutti_werror "${TUTTI_WERROR}")
if(tutti_werror STREQUAL "AUTO")
  set(tutti_werror OFF)
  if((CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION MATCHES "^1[12]\\.") OR
     (CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION MATCHES "^14\\."))
    set(tutti_werror ON)
  endif()
endif()
if(tutti_werror)
  target_compile_options(tutti_warnings INTERFACE -Werror)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # These depend on what the optimiser inlined and have known false alarms in GCC 11 and 12
    # (gcc.gnu.org PR 105329, 105562, 105593): reported, not fatal.
    target_compile_options(tutti_warnings INTERFACE
      -Wno-error=maybe-uninitialized -Wno-error=array-bounds -Wno-error=restrict
      -Wno-error=stringop-overflow -Wno-error=stringop-overread -Wno-error=free-nonheap-object
      -Wno-error=use-after-free)
  endif()
endif()

if(TUTTI_SANITIZE)
  set(tutti_sanitizers address undefined thread)
  string(REPLACE "," ";" tutti_wanted "${TUTTI_SANITIZE}")
  foreach(one IN LISTS tutti_wanted)
    if(NOT one IN_LIST tutti_sanitizers)
      message(FATAL_ERROR "TUTTI_SANITIZE: \"${one}\" is none of ${tutti_sanitizers}")
    endif()
  endforeach()
  add_compile_options(-fsanitize=${TUTTI_SANITIZE} -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${TUTTI_SANITIZE})
  if("undefined" IN_LIST tutti_wanted)
    # The address sanitizer reports such accesses too; checking for them twice doubles compile time.
    add_compile_options(-fno-sanitize=null,vptr,object-size)
  endif()
  if("address" IN_LIST tutti_wanted AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Checks are calls, not inlined at each access: a tenth to a third less compile time. Where tests
    # compute for long, tutti_inline_checks() has them inlined, as is GCC's default.
    add_compile_options("SHELL:--param asan-instrumentation-with-call-threshold=0")
  endif()
  if("thread" IN_LIST tutti_wanted AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Fences are not modelled by the thread sanitizer; GCC says so at each one.
    add_compile_options(-Wno-tsan)
  endif()
endif()
