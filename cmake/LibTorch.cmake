# lossd_use_libtorch(target root): makes an INTERFACE target bring the LibTorch that lies in `root`, a torch wheel or an
# unpacked distribution. Torch's own CMake package insists on a complete CUDA toolkit as soon as it was built for CUDA;
# its libraries are enough to link against, so they are named here. Also part of the installed package.
function(lossd_use_libtorch target root)
  # After the system's directories: the wheel brings the headers of its own, older protobuf along.
  target_compile_options(${target} INTERFACE "SHELL:-idirafter ${root}/include"
                         "SHELL:-idirafter ${root}/include/torch/csrc/api/include")
  target_link_libraries(${target} INTERFACE ${root}/lib/libtorch_cpu.so ${root}/lib/libc10.so)
  # A wheel's CUDA libraries are wheels of their own, beside it.
  get_filename_component(site_packages ${root} DIRECTORY)
  file(GLOB nvidia_libraries ${site_packages}/nvidia/*/lib)
  foreach(directory ${root}/lib ${nvidia_libraries})
    target_link_options(${target} INTERFACE -Wl,-rpath,${directory} -Wl,-rpath-link,${directory})
  endforeach()
endfunction()
