# CUDA sources, *.cu: no LibTorch, gRPC or absl in them, so that nvcc does not take minutes over headers.
find_package(CUDAToolkit REQUIRED)
set(CMAKE_CUDA_ARCHITECTURES ${LOSSD_CUDA_ARCHITECTURES})
set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE})
set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
enable_language(CUDA)
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)  # CMake 3.25 does not know it of nvcc.
set(LOSSD_CUDA_FLAGS --extended-lambda -Werror=all-warnings -Xcompiler=-Wall,-Wextra)

# lossd_cuda_library(name SOURCES ... DEPS ...): a static library of CUDA sources.
function(lossd_cuda_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:${LOSSD_CUDA_FLAGS}>)
  target_link_libraries(${name} PUBLIC lossd_flags CUDA::cudart_static ${ARG_DEPS})
endfunction()

# What `make cuda` builds, beside the server.
add_custom_target(cuda_tests)

# lossd_cuda_test(name SOURCES ... DEPS ...): a GoogleTest program, run by ctest as one test labelled "cuda". Tests that
# need a GPU skip themselves where there is none.
function(lossd_cuda_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:${LOSSD_CUDA_FLAGS}>)
  target_link_libraries(${name} PRIVATE lossd_flags CUDA::cudart_static ${ARG_DEPS} GTest::gtest_main)
  add_dependencies(cuda_tests ${name})
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS cuda SKIP_REGULAR_EXPRESSION "no GPU")
endfunction()

# lossd_test_with_cuda(names...): unit tests that run under `make cuda`, too.
function(lossd_test_with_cuda)
  foreach(name ${ARGN})
    add_dependencies(cuda_tests ${name})
    set_property(TEST ${name} APPEND PROPERTY LABELS cuda)
  endforeach()
endfunction()

# lossd_test_on_gpu(names...): those that run there once more, on the first GPU.
function(lossd_test_on_gpu)
  lossd_test_with_cuda(${ARGN})
  foreach(name ${ARGN})
    add_test(NAME ${name}_on_gpu COMMAND ${name})
    set_tests_properties(${name}_on_gpu PROPERTIES LABELS cuda ENVIRONMENT LOSSD_TEST_DEVICE=cuda:0
                                                   SKIP_REGULAR_EXPRESSION "no GPU")
  endforeach()
endfunction()
