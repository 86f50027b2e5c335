# The flags every target of the project has, and the functions that declare targets. The flags are the project's own:
# what is installed brings none of them to those who link it.

add_library(lossd_flags INTERFACE)
# Warnings are errors with the compilers that the tests run with. A newer one finds things to say that nobody could mend.
set(LOSSD_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
    $<$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>:-Werror>)
target_compile_options(lossd_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${LOSSD_WARNINGS};-pthread>)
# Hardened: what writes past its memory is stopped, and finds nothing where it expects it.
if(NOT LOSSD_SANITIZE)
  include(CheckCXXCompilerFlag)
  set(LOSSD_HARDENING -fPIE -fstack-protector-strong $<$<CONFIG:Release>:-U_FORTIFY_SOURCE>
      $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=3>)
  check_cxx_compiler_flag(-fcf-protection LOSSD_HAS_CF_PROTECTION)
  if(LOSSD_HAS_CF_PROTECTION)
    list(APPEND LOSSD_HARDENING -fcf-protection)
  endif()
  target_compile_options(lossd_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${LOSSD_HARDENING}>)
  target_link_options(lossd_flags INTERFACE -pie LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack)
endif()
target_include_directories(lossd_flags INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
if(LOSSD_SANITIZE)
  # The check of functions' types would put types into code that is compiled for each instruction set.
  target_compile_options(lossd_flags INTERFACE -fsanitize=${LOSSD_SANITIZE} -fno-sanitize-recover=undefined
                         $<$<CXX_COMPILER_ID:Clang>:-fno-sanitize=function> -fno-omit-frame-pointer -g1)
  target_link_options(lossd_flags INTERFACE -fsanitize=${LOSSD_SANITIZE})
endif()

# LibTorch's headers take most of a file's compile time: one precompiled header serves every target that uses them.
add_library(lossd_torch_pch OBJECT ${PROJECT_SOURCE_DIR}/cmake/torch_pch.cc)
target_link_libraries(lossd_torch_pch PUBLIC lossd_flags lossd_torch)
target_precompile_headers(lossd_torch_pch PRIVATE <ATen/ATen.h>)

# lossd_library(name SOURCES ... DEPS ... [TORCH]): a static library; TORCH gives it LibTorch and its precompiled header.
function(lossd_library name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_compile_features(${name} PUBLIC cxx_std_20)
  target_link_libraries(${name} PUBLIC $<BUILD_INTERFACE:lossd_flags> ${ARG_DEPS})
  if(ARG_TORCH)
    target_link_libraries(${name} PUBLIC $<BUILD_INTERFACE:lossd_torch> $<INSTALL_INTERFACE:lossd::torch>)
    target_precompile_headers(${name} REUSE_FROM lossd_torch_pch)
  endif()
endfunction()

# lossd_executable(name SOURCES ... DEPS ... [TORCH])
function(lossd_executable name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE lossd_flags ${ARG_DEPS})
  if(ARG_TORCH)
    target_link_libraries(${name} PRIVATE lossd_torch)
    target_precompile_headers(${name} REUSE_FROM lossd_torch_pch)
  endif()
endfunction()

# What `make asan` and `make tsan` build.
add_custom_target(unit_tests)

# lossd_test(name SOURCES ... DEPS ... [TORCH]): a GoogleTest program, run by ctest as one test labelled "unit".
function(lossd_test name)
  lossd_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE GTest::gmock GTest::gtest_main)
  add_dependencies(unit_tests ${name})
  add_test(NAME ${name} COMMAND ${name})
  # Tests compute on few elements: threads of LibTorch would spend their time waiting for each other, busily.
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 600 ENVIRONMENT OMP_NUM_THREADS=1)
endfunction()
