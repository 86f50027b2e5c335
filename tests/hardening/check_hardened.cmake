# Fails when PROGRAM, as READELF shows it, is not position-independent, can be written to where the linker has bound it,
# runs code on its stack, or has no checks of its stack and of what it copies.
execute_process(COMMAND ${READELF} --wide --file-header --program-headers --dynamic --dyn-syms ${PROGRAM}
                OUTPUT_VARIABLE shown COMMAND_ERROR_IS_FATAL ANY)
foreach(expected "Type: +DYN" "FLAGS_1.* PIE" "GNU_RELRO" "BIND_NOW" "GNU_STACK[^\n]* RW " "__stack_chk_fail" "__[a-z]+_chk@")
  if(NOT shown MATCHES "${expected}")
    message(SEND_ERROR "${PROGRAM} lacks ${expected}")
  endif()
endforeach()
