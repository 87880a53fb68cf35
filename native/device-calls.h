/** What raw block devices and O_DIRECT need; addon.d.ts says what each does. */

#pragma once

#include "arguments.h"

napi_value AllocateAligned(napi_env env, napi_callback_info info);
napi_value PreferHugePages(napi_env env, napi_callback_info info);
napi_value DeviceGeometry(napi_env env, napi_callback_info info);
napi_value DiscardRange(napi_env env, napi_callback_info info);
napi_value SecureDiscardRange(napi_env env, napi_callback_info info);
napi_value ZeroRange(napi_env env, napi_callback_info info);
napi_value DuplicateDescriptor(napi_env env, napi_callback_info info);
napi_value ProbeDisk(napi_env env, napi_callback_info info);
napi_value NewFileCaller(napi_env env, napi_callback_info info);
napi_value BeginFileCall(napi_env env, napi_callback_info info);
napi_value WaitForFileCall(napi_env env, napi_callback_info info);
napi_value TakeFileCall(napi_env env, napi_callback_info info);
napi_value EndFileCalls(napi_env env, napi_callback_info info);
napi_value FlushFile(napi_env env, napi_callback_info info);
napi_value EndProcess(napi_env env, napi_callback_info info);
