/** The functions of the analysis of mounted file systems that addon.cc exports. */

#ifndef DYNAMICFS_NATIVE_SCAN_NAPI_H_
#define DYNAMICFS_NATIVE_SCAN_NAPI_H_

#include <node_api.h>

napi_value ScanFileSystem(napi_env env, napi_callback_info info);
napi_value NameFiles(napi_env env, napi_callback_info info);
napi_value ScanFreeSpace(napi_env env, napi_callback_info info);
napi_value BtrfsDevices(napi_env env, napi_callback_info info);

#endif  // DYNAMICFS_NATIVE_SCAN_NAPI_H_
