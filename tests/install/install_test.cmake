# Installs the build tree BUILD, builds the project consumer/ against it outside this tree, and runs its programs.
set(temporary $ENV{TMPDIR})
if(NOT temporary)
  set(temporary /tmp)
endif()
string(MD5 id ${BUILD})  # The same place each time, so that ccache knows it.
set(work ${temporary}/lossd-install-test-${id})
file(REMOVE_RECURSE ${work})
file(COPY ${CMAKE_CURRENT_LIST_DIR}/consumer DESTINATION ${work})

# The C++ examples of DOCS, one file each, as consumer/docs_examples.cc includes them.
file(READ ${DOCS} text)
string(REPLACE ";" "@semicolon@" text "${text}")  # It would end an element of a list.
string(REGEX MATCHALL "```cpp\n[^`]*```" blocks "${text}")
set(number 0)
foreach(block IN LISTS blocks)
  math(EXPR number "${number} + 1")
  string(REGEX MATCHALL "#include [^\n]*\n" includes "${block}")
  string(REGEX REPLACE "```(cpp)?|#include [^\n]*\n" "" body "${block}")
  string(REPLACE "@semicolon@" ";" body "${body}")
  file(APPEND ${work}/consumer/docs_includes.inc ${includes})
  file(WRITE ${work}/consumer/docs_example_${number}.inc "${body}")
endforeach()

function(run)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${work} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --component sdk --prefix ${work}/prefix)
run(${CMAKE_COMMAND} -S consumer -B build -G Ninja -Wno-dev -D CMAKE_PREFIX_PATH=${work}/prefix
    -D CMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER})
run(${CMAKE_COMMAND} --build build)
run(build/weigh_an_edge)
run(build/ask_a_server)
file(REMOVE_RECURSE ${work})
