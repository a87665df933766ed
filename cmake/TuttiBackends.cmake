# Backends: a folder under src/device/ or transports/ with a CMakeLists.txt is one, and nothing else
# has to be edited to add it. The folder says
#
#   tutti_backend(device host SOURCES device.cc ... [DEPS ...] [PRIVATE_DEPS ...])
#
# or, where its toolkit is missing, tutti_skip_backend("no nvcc") and return(). From the folders that
# it found, configure writes the registry's tables; no static initialiser, no #ifdef and no list kept by hand.
# A backend exposes one function:
#   const tutti::device::Backend* tutti::device::<name>::backend();
#   const tutti::transports::Backend* tutti::transports::<name>::backend();
#
# A folder under src/device may also, or only, tell of its vendor's links between devices:
#
#   tutti_link_probe(cuda SOURCES links.cc [DEPS ...] [PRIVATE_DEPS ...])
#
# and exposes  const tutti::device::LinkProbe* tutti::device::<name>::linkProbe();
include_guard(GLOBAL)

# The room of a kind: its target is tutti_<room>, its namespace tutti::<room>.
set(TUTTI_BACKEND_ROOM_device device)
set(TUTTI_BACKEND_ROOM_transport transports)
set(TUTTI_BACKEND_HEADER_device src/device/registry.h)
set(TUTTI_BACKEND_HEADER_transport transports/registry.h)

# A backend is found by its folder's name.
function(tutti_check_folder name)
  get_filename_component(folder "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
  if(NOT name STREQUAL folder OR NOT name MATCHES "^[a-z][a-z0-9_]*$")
    message(FATAL_ERROR "\"${name}\" must be the name of its folder, \"${folder}\", and a C++ namespace")
  endif()
endfunction()

function(tutti_backend kind name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  set(room "${TUTTI_BACKEND_ROOM_${kind}}")
  if(NOT room)
    message(FATAL_ERROR "tutti_backend: kind \"${kind}\" is neither device nor transport")
  endif()
  tutti_check_folder(${name})
  tutti_library(${room}_${name} SOURCES ${ARG_SOURCES} DEPS tutti_${room} ${ARG_DEPS}
    PRIVATE_DEPS ${ARG_PRIVATE_DEPS})
  set_property(GLOBAL APPEND PROPERTY TUTTI_BACKENDS_${kind} ${name})
endfunction()

function(tutti_link_probe name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  tutti_check_folder(${name})
  tutti_library(device_${name}_links SOURCES ${ARG_SOURCES} DEPS tutti_device ${ARG_DEPS}
    PRIVATE_DEPS ${ARG_PRIVATE_DEPS})
  set_property(GLOBAL APPEND PROPERTY TUTTI_LINK_PROBES ${name})
endfunction()

# Why this folder makes no backend here; configure prints it.
function(tutti_skip_backend reason)
  set_property(GLOBAL PROPERTY "TUTTI_SKIP_${CMAKE_CURRENT_SOURCE_DIR}" "${reason}")
endfunction()

# tutti_add_backends(device src/device EXCLUDE kernels): every subfolder with a CMakeLists.txt.
function(tutti_add_backends kind folder)
  cmake_parse_arguments(ARG "" "" "EXCLUDE" ${ARGN})
  file(GLOB lists CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/*/CMakeLists.txt")
  list(SORT lists)
  set(skipped "")
  foreach(list_file IN LISTS lists)
    get_filename_component(path "${list_file}" DIRECTORY)
    get_filename_component(name "${path}" NAME)
    if(name IN_LIST ARG_EXCLUDE)
      continue()
    endif()
    add_subdirectory("${path}" "${PROJECT_BINARY_DIR}/${folder}/${name}")
    get_property(found GLOBAL PROPERTY TUTTI_BACKENDS_${kind})
    if(NOT name IN_LIST found)
      get_property(reason GLOBAL PROPERTY "TUTTI_SKIP_${path}")
      if(NOT reason)
        set(reason "it gave no reason")
      endif()
      list(APPEND skipped "${name} (${reason})")
    endif()
  endforeach()
  get_property(found GLOBAL PROPERTY TUTTI_BACKENDS_${kind})
  list(JOIN found " " found)
  message(STATUS "Tutti: ${kind} backends: ${found}")
  if(skipped)
    list(JOIN skipped ", " skipped)
    message(STATUS "Tutti: ${kind} backends skipped: ${skipped}")
  endif()
endfunction()

# tutti_add_backend_table(device): the target tutti_device_table, which defines
# tutti::device::builtinBackends() and links every backend.
function(tutti_add_backend_table kind)
  set(room "${TUTTI_BACKEND_ROOM_${kind}}")
  set(header "${TUTTI_BACKEND_HEADER_${kind}}")
  file(GLOB have_header CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${header}")
  if(NOT have_header)
    message(STATUS "Tutti: no ${header}, so no tutti_${room}_table")
    return()
  endif()
  get_property(names GLOBAL PROPERTY TUTTI_BACKENDS_${kind})
  tutti_write_table(${kind}_table ${room} ${header} Backend backend builtinBackends ${names})
  list(TRANSFORM names PREPEND tutti_${room}_ OUTPUT_VARIABLE targets)
  tutti_library(${room}_table SOURCES "${TUTTI_TABLE_FILE}" DEPS tutti_${room} ${targets})
  if(NOT TARGET tutti_${kind}_table)
    add_library(tutti_${kind}_table ALIAS tutti_${room}_table)
  endif()
endfunction()

# The target tutti_device_links_table, which defines tutti::device::builtinLinkProbes() and links
# every link probe.
function(tutti_add_link_probe_table)
  get_property(names GLOBAL PROPERTY TUTTI_LINK_PROBES)
  list(JOIN names " " found)
  message(STATUS "Tutti: link probes: ${found}")
  tutti_write_table(links_table device src/device/link_probe.h LinkProbe linkProbe
    builtinLinkProbes ${names})
  list(TRANSFORM names REPLACE "(.+)" "tutti_device_\\1_links" OUTPUT_VARIABLE targets)
  tutti_library(device_links_table SOURCES "${TUTTI_TABLE_FILE}" DEPS tutti_device ${targets})
endfunction()

# Writes <file>.cc and names it in TUTTI_TABLE_FILE: tutti::<space>::<table>(), the `type`s that
# `entry` of each folder gives.
function(tutti_write_table file space header type entry table)
  set(declarations "")
  set(entries "")
  foreach(name IN LISTS ARGN)
    string(APPEND declarations "namespace ${name} {\nconst ${type}* ${entry}();\n}\n")
    string(APPEND entries "      ${name}::${entry}(),\n")
  endforeach()
  list(LENGTH ARGN count)
  foreach(part file space header type table declarations entries count)
    string(TOUPPER ${part} upper)
    set(TUTTI_TABLE_${upper} "${${part}}")
  endforeach()
  set(path "${PROJECT_BINARY_DIR}/generated/tutti/${file}.cc")
  configure_file("${PROJECT_SOURCE_DIR}/cmake/backend_table.cc.in" "${path}" @ONLY)
  set(TUTTI_TABLE_FILE "${path}" PARENT_SCOPE)
endfunction()
