# `cmake --install build/release --prefix P`: libtutti.so, include/tutti, the package config
# (find_package(Tutti) gives tutti::tutti), tutti.pc and the programs. The prefix may be moved.
include_guard(GLOBAL)
include(CMakePackageConfigHelpers)

get_property(programs GLOBAL PROPERTY TUTTI_INSTALL_PROGRAMS)
list(REMOVE_DUPLICATES programs)
add_custom_target(programs)
if(programs)
  add_dependencies(programs ${programs})
endif()

if(NOT TARGET tutti)
  return()
endif()
add_dependencies(programs tutti)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/Tutti")
set(generated "${PROJECT_BINARY_DIR}/generated/tutti")

install(TARGETS tutti EXPORT TuttiTargets
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY include/tutti DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  FILES_MATCHING PATTERN "*.h")
install(EXPORT TuttiTargets NAMESPACE tutti:: DESTINATION "${package_dir}")

configure_package_config_file(cmake/TuttiConfig.cmake.in "${generated}/TuttiConfig.cmake"
  INSTALL_DESTINATION "${package_dir}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${generated}/TuttiConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${generated}/TuttiConfig.cmake" "${generated}/TuttiConfigVersion.cmake"
  DESTINATION "${package_dir}")

# From lib/pkgconfig back to the prefix, so that a moved prefix still works.
file(RELATIVE_PATH TUTTI_PC_TO_PREFIX
  "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
string(REGEX REPLACE "/$" "" TUTTI_PC_TO_PREFIX "${TUTTI_PC_TO_PREFIX}")
configure_file(cmake/tutti.pc.in "${generated}/tutti.pc" @ONLY)
install(FILES "${generated}/tutti.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

foreach(program IN LISTS programs)
  get_target_property(rpath ${program} INSTALL_RPATH)
  if(NOT rpath)
    set_target_properties(${program} PROPERTIES INSTALL_RPATH "${TUTTI_INSTALL_RPATH}")
  endif()
  install(TARGETS ${program} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endforeach()
