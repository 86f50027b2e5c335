# Fails when PTX has a fused multiply-add: its results would not be the processors'. Also where it has no correctly rounded
# division, the last step of what should be there.
file(READ ${PTX} ptx)
if(NOT ptx MATCHES "div\\.rn\\.f32" OR ptx MATCHES "[ \t]fma\\.")
  message(FATAL_ERROR "${PTX}: fused multiply-adds, or no correctly rounded division")
endif()
