# For another processor, static and without TLS, as `make CROSS_COMPILE=...`:
#
#   cmake -B build/mips -DCMAKE_TOOLCHAIN_FILE=port/cmake/cross.cmake -DCROSS=mips-linux-gnu
#
# CROSS is what stands before -gcc, whose musl is taken if `make musl` has made one; `musl` takes musl-gcc. jsmn.h comes
# from JSMN_INCLUDE, by default where `make deps` puts it.
set(CMAKE_SYSTEM_NAME Linux)
get_filename_component(CMCWH_TREE "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
set(CROSS "$ENV{CROSS}" CACHE STRING "what stands before -gcc, or musl")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES CROSS)
if(CROSS STREQUAL "")
    message(FATAL_ERROR "name a target: -DCROSS=mips-linux-gnu, or -DCROSS=musl")
elseif(CROSS STREQUAL "musl")
    set(CMAKE_C_COMPILER musl-gcc)
    set(CMAKE_SYSTEM_PROCESSOR ${CMAKE_HOST_SYSTEM_PROCESSOR})
else()
    set(CMAKE_C_COMPILER ${CROSS}-gcc)
    if(EXISTS "${CMCWH_TREE}/build/deps/musl-${CROSS}/bin/musl-gcc")
        set(CMAKE_C_COMPILER "${CMCWH_TREE}/build/deps/musl-${CROSS}/bin/musl-gcc")
    endif()
    string(REGEX REPLACE "-.*" "" CMAKE_SYSTEM_PROCESSOR "${CROSS}")
endif()
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

set(JSMN_INCLUDE "${CMCWH_TREE}/build/deps/include" CACHE PATH "directory of jsmn.h")
set(CMCWH_TLS OFF CACHE BOOL "HTTPS")
set(CMCWH_MQTT OFF CACHE BOOL "Sinks for MQTT")
set(CMCWH_TESTS OFF CACHE BOOL "the system's cmocka is for the system's processor")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static")
