# One static library per layer, and one test program per layer.
add_library(cstp_flags INTERFACE)
set(warnings -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Werror
  -Wno-restrict                      # GCC 12 sees overlaps in std::string that are not there (GCC bug 105651)
  -Wno-missing-field-initializers)   # designated initialisers leave the rest at their defaults on purpose
target_compile_options(cstp_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${warnings}>")
if(CSTP_SANITIZE)
  # GCC documents that sanitizers bring false alarms of the last one; LibTorch's optional arguments are one.
  set(sanitizers -fsanitize=${CSTP_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -Wno-maybe-uninitialized)
  target_compile_options(cstp_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${sanitizers}>")
  target_link_options(cstp_flags INTERFACE -fsanitize=${CSTP_SANITIZE})
endif()

# LibTorch's headers cost 20 s a file: precompiled once and shared by every target that names `torch`.
add_library(torch_headers OBJECT ${CMAKE_SOURCE_DIR}/cmake/torch_headers.cpp)
target_link_libraries(torch_headers PUBLIC torch PRIVATE cstp_flags)
target_precompile_headers(torch_headers PRIVATE <torch/torch.h>)
target_compile_options(torch_headers PRIVATE -fpch-preprocess)

function(cstp_use_torch target)
  target_link_libraries(${target} PUBLIC torch)
  target_precompile_headers(${target} REUSE_FROM torch_headers)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
endfunction()

# cstp_module(NAME SOURCES a.cpp b.cpp USES core torch PkgConfig::ffmpeg): `torch` brings the precompiled header.
function(cstp_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;USES;PRIVATE" ${ARGN})
  add_library(cstp_${name} STATIC ${arg_SOURCES})
  target_include_directories(cstp_${name} PUBLIC ${CMAKE_SOURCE_DIR}/include PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(cstp_${name} PRIVATE cstp_flags ${arg_PRIVATE})
  foreach(use ${arg_USES})
    if(use STREQUAL torch)
      cstp_use_torch(cstp_${name})
    elseif(TARGET cstp_${use})
      target_link_libraries(cstp_${name} PUBLIC cstp_${use})
    else()
      target_link_libraries(cstp_${name} PUBLIC ${use})
    endif()
  endforeach()
endfunction()

# cstp_cuda(TARGET a.cu ...): adds CUDA sources to a target and defines CSTP_CUDA for it, where a CUDA compiler was found.
# A .cu file includes no LibTorch: it takes pointers and a stream, and compiles in a few seconds.
function(cstp_cuda target)
  if(NOT CMAKE_CUDA_COMPILER)
    return()
  endif()
  target_sources(${target} PRIVATE ${ARGN})
  target_compile_definitions(${target} PRIVATE CSTP_CUDA)
  target_link_libraries(${target} PUBLIC cuda_runtime)
endfunction()

# cstp_test(NAME SOURCES x_test.cpp USES core torch): program NAME_tests; every TEST becomes a ctest of its own.
function(cstp_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;USES;PRIVATE" ${ARGN})
  add_executable(${name}_tests ${arg_SOURCES})
  target_include_directories(${name}_tests PRIVATE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(${name}_tests PRIVATE cstp_flags GTest::gtest GTest::gmock GTest::gtest_main ${arg_PRIVATE})
  foreach(use ${arg_USES})
    if(use STREQUAL torch)
      cstp_use_torch(${name}_tests)
    elseif(TARGET cstp_${use})
      target_link_libraries(${name}_tests PRIVATE cstp_${use})
    else()
      target_link_libraries(${name}_tests PRIVATE ${use})
    endif()
  endforeach()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  include(GoogleTest)
  gtest_discover_tests(${name}_tests DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120
                       PROPERTIES TIMEOUT ${arg_TIMEOUT} ENVIRONMENT "OMP_NUM_THREADS=1")
endfunction()
