# Installs the build tree BUILD, builds the project consumer/ against it outside this tree, and runs its programs.
set(temporary $ENV{TMPDIR})
if(NOT temporary)
  set(temporary /tmp)
endif()
string(MD5 id ${BUILD})  # The same place each time, so that ccache knows it.
set(work ${temporary}/lossd-install-test-${id})
file(REMOVE_RECURSE ${work})
file(COPY ${CMAKE_CURRENT_LIST_DIR}/consumer DESTINATION ${work})

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
