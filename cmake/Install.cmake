# What `cmake --install` puts where. Component `programs`: the server and lossctl. Component `sdk`: the C++ SDK and the
# MALIS engine, as the package that find_package(lossd) finds; see lossdConfig.cmake.in.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

install(TARGETS lossd lossctl RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT programs)
install(TARGETS lossctl-tensors RUNTIME DESTINATION libexec COMPONENT programs)  # lossctl looks for it there.

# lossd_install(part targets...): the static libraries of one component of the package, lossd_x as lossd::x.
function(lossd_install part)
  foreach(target ${ARGN})
    string(REPLACE lossd_ "" name ${target})
    set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  endforeach()
  install(TARGETS ${ARGN} EXPORT lossd_${part} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT sdk
          INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT lossd_${part} NAMESPACE lossd:: FILE lossd_${part}.cmake DESTINATION ${LOSSD_PACKAGE_DIR} COMPONENT sdk)
endfunction()

set(LOSSD_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/lossd)
lossd_install(malis lossd_base lossd_malis)
lossd_install(client lossd_messages lossd_service lossd_shared_memory lossd_call_metadata lossd_client_calls lossd_tensor
              lossd_wire_tensor lossd_rpc lossd_client)

# lossd_install_headers(folder headers...): what programs include as lossd/…; the folders are those of the sources.
function(lossd_install_headers folder)
  list(TRANSFORM ARGN PREPEND ${PROJECT_SOURCE_DIR}/${folder}/)
  string(REGEX REPLACE "^.*(lossd(/|$))" "\\1" place ${folder})
  install(FILES ${ARGN} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/${place} COMPONENT sdk)
endfunction()

lossd_install_headers(src/lossd/base cancellation.h context.h error.h task_pool.h workspace.h)
lossd_install_headers(src/lossd/malis affinities.h components.h grid.h labels.h malis.h malis_pass.h)
lossd_install_headers(src/lossd/compute batch.h)
lossd_install_headers(src/lossd/tensor npy.h)
lossd_install_headers(client/cpp/lossd client.h client_options.h pending_result.h result.h server_info.h)

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/lossdConfig.cmake.in lossdConfig.cmake
                              INSTALL_DESTINATION ${LOSSD_PACKAGE_DIR})
write_basic_package_version_file(lossdConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/lossdConfig.cmake ${PROJECT_BINARY_DIR}/lossdConfigVersion.cmake
              ${PROJECT_SOURCE_DIR}/cmake/LibTorch.cmake
        DESTINATION ${LOSSD_PACKAGE_DIR} COMPONENT sdk)
