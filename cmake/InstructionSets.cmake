# Sources that are compiled once for each level of vector instructions: see src/lossd/base/instruction_sets.h, whose
# source asks the processor for what the flags here name.
set(LOSSD_LEVELS baseline)
if(CMAKE_SYSTEM_PROCESSOR STREQUAL x86_64)
  list(APPEND LOSSD_LEVELS avx2 avx512)
endif()
set(LOSSD_FLAGS_OF_avx2 -mavx2 -mbmi -mbmi2 -mfma)
set(LOSSD_FLAGS_OF_avx512 ${LOSSD_FLAGS_OF_avx2} -mavx512f -mavx512bw -mavx512cd -mavx512dq -mavx512vl)
# What lets loops become vector code.
set(LOSSD_KERNEL_FLAGS -O3 -fopenmp-simd -fno-trapping-math -fno-math-errno -ffp-contract=fast)

# lossd_per_level(library sources...): adds the sources, once per level, to a library that exists.
function(lossd_per_level library)
  get_target_property(dependencies ${library} LINK_LIBRARIES)
  foreach(level ${LOSSD_LEVELS})
    set(objects ${library}_${level})
    add_library(${objects} OBJECT ${ARGN})
    target_compile_features(${objects} PRIVATE cxx_std_20)
    target_compile_definitions(${objects} PRIVATE LOSSD_LEVEL=${level})
    target_compile_options(${objects} PRIVATE ${LOSSD_KERNEL_FLAGS} ${LOSSD_FLAGS_OF_${level}})
    target_link_libraries(${objects} PRIVATE ${dependencies})
    target_sources(${library} PRIVATE $<TARGET_OBJECTS:${objects}>)
    add_custom_command(TARGET ${library} POST_BUILD VERBATIM
                       COMMAND ${CMAKE_COMMAND} -D NM=${CMAKE_NM} -D LEVEL=${level} -D "OBJECTS=$<TARGET_OBJECTS:${objects}>"
                               -P ${PROJECT_SOURCE_DIR}/cmake/CheckLevel.cmake)
  endforeach()
endfunction()

find_program(LOSSD_QEMU qemu-x86_64)

# lossd_test_without_avx(name): runs that unit test once more, on an emulated processor that has the baseline alone.
function(lossd_test_without_avx name)
  if(LOSSD_SANITIZE OR NOT CMAKE_SYSTEM_PROCESSOR STREQUAL x86_64)
    return()
  endif()
  if(LOSSD_QEMU)
    add_test(NAME ${name}_without_avx COMMAND ${LOSSD_QEMU} -cpu qemu64 $<TARGET_FILE:${name}>)
    # Nor does it say that it has more.
    set_tests_properties(${name}_without_avx PROPERTIES FAIL_REGULAR_EXPRESSION "/avx")
  else()
    add_test(NAME ${name}_without_avx COMMAND ${CMAKE_COMMAND} -E echo "Skipped: no qemu-x86_64 (package qemu-user)")
  endif()
  set_tests_properties(${name}_without_avx PROPERTIES LABELS unit TIMEOUT 600 SKIP_REGULAR_EXPRESSION "Skipped: no qemu")
endfunction()
