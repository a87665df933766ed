# libtutti.so: all of src/api (whole archive), the rooms beneath it as far as they are used, and
# only the C API visible (hidden visibility, version script tutti.map). Target tutti, alias
# tutti::tutti.
include_guard(GLOBAL)

function(tutti_add_shared_library)
  if(NOT TARGET tutti_api)
    message(STATUS "Tutti: no src/api, so no libtutti.so")
    return()
  endif()
  set(anchor "${PROJECT_BINARY_DIR}/generated/tutti/shared.cc")
  file(CONFIGURE OUTPUT "${anchor}"
    CONTENT "// A shared library needs a source of its own; everything comes from the rooms.\n")
  set(map "${PROJECT_SOURCE_DIR}/cmake/tutti.map")
  add_library(tutti SHARED "${anchor}")
  add_library(tutti::tutti ALIAS tutti)
  target_link_libraries(tutti PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,tutti_api>)
  target_link_options(tutti PRIVATE "LINKER:--version-script=${map}" LINKER:--gc-sections)
  # Its threads may be inside the library when a program closes it.
  target_link_options(tutti PRIVATE LINKER:-z,nodelete)
  if(NOT TUTTI_SANITIZE)
    target_link_options(tutti PRIVATE LINKER:--no-undefined)
  endif()
  target_include_directories(tutti INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  set_target_properties(tutti PROPERTIES
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}
    LINK_DEPENDS "${map}"
    INSTALL_RPATH "")
endfunction()
