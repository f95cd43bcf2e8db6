# cmcwh::cmcwh is the static library, cmcwh::shared the shared one, where it was installed.
if(TARGET cmcwh::cmcwh)
    return()
endif()
get_filename_component(_cmcwh_libraries "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
find_path(CMCWH_INCLUDE_DIR cmcwh.h PATHS # above lib, or above lib/TRIPLET
    "${_cmcwh_libraries}/../include" "${_cmcwh_libraries}/../../include" NO_DEFAULT_PATH)
mark_as_advanced(CMCWH_INCLUDE_DIR)
add_library(cmcwh::cmcwh STATIC IMPORTED)
set_target_properties(cmcwh::cmcwh PROPERTIES
    IMPORTED_LOCATION "${_cmcwh_libraries}/libcmcwh.a")
if(EXISTS "${_cmcwh_libraries}/libcmcwh.so")
    add_library(cmcwh::shared SHARED IMPORTED)
    set_target_properties(cmcwh::shared PROPERTIES
        IMPORTED_LOCATION "${_cmcwh_libraries}/libcmcwh.so")
endif()
foreach(_cmcwh_target cmcwh::cmcwh cmcwh::shared)
    if(TARGET ${_cmcwh_target})
        set_target_properties(${_cmcwh_target} PROPERTIES
            INTERFACE_INCLUDE_DIRECTORIES "${CMCWH_INCLUDE_DIR}"
            INTERFACE_COMPILE_DEFINITIONS CMCWH_NO_SERVER)
    endif()
endforeach()
if(NOT CMCWH_INCLUDE_DIR)
    set(cmcwh_FOUND FALSE)
    set(cmcwh_NOT_FOUND_MESSAGE "cmcwh.h is not where it was installed")
endif()
