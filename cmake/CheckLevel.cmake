# Fails when one of the OBJECTS compiled for LEVEL, as NM shows them, has what other processors could come to run: a weak
# symbol outside of the level's namespace, of which the linker keeps one for the whole program; or code that runs when
# the program starts.
execute_process(COMMAND ${NM} -C --defined-only ${OBJECTS} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[0-9a-f]+ ([WwVvui] |t _GLOBAL__sub_I)[^\n]*" found "${symbols}")
list(FILTER found EXCLUDE REGEX "lossd::${LEVEL}::|_GLOBAL__sub_I_00099_")  # That is how sanitizers begin.
if(found)
  list(JOIN found "\n  " found)
  message(FATAL_ERROR "Compiled for ${LEVEL}, but not for it alone (see src/lossd/base/instruction_sets.h):\n  ${found}")
endif()
