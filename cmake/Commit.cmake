# Writes the header OUTPUT, which names the commit that the sources in SOURCE are of: run at each build, it changes the
# header only where the commit has.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define LOSSD_COMMIT \"@commit@\"\n" @ONLY)
