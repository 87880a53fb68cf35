/** What a trim of a mounted file system calls; addon.d.ts says what each does. */

#pragma once

#include "arguments.h"

napi_value TrimFileSystem(napi_env env, napi_callback_info info);
napi_value FinishFrees(napi_env env, napi_callback_info info);
napi_value FreeSpaceRuns(napi_env env, napi_callback_info info);
napi_value BtrfsTreeItems(napi_env env, napi_callback_info info);
