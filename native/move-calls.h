/** What a move of a file calls; addon.d.ts says what each does. */

#pragma once

#include "arguments.h"

napi_value BeginReads(napi_env env, napi_callback_info info);
napi_value BeginWrites(napi_env env, napi_callback_info info);
napi_value WaitForTransfer(napi_env env, napi_callback_info info);
napi_value FinishTransfers(napi_env env, napi_callback_info info);
napi_value OpenByHandles(napi_env env, napi_callback_info info);
napi_value FileHandle(napi_env env, napi_callback_info info);
napi_value LookAtFiles(napi_env env, napi_callback_info info);
napi_value FreeBytes(napi_env env, napi_callback_info info);
napi_value FileMappings(napi_env env, napi_callback_info info);
napi_value FlushAndMapFiles(napi_env env, napi_callback_info info);
napi_value Allocate(napi_env env, napi_callback_info info);
napi_value AdviseRandom(napi_env env, napi_callback_info info);
napi_value WriteBack(napi_env env, napi_callback_info info);
napi_value MoveExtents(napi_env env, napi_callback_info info);
napi_value XfsGeometry(napi_env env, napi_callback_info info);
napi_value CopyProject(napi_env env, napi_callback_info info);
napi_value SwapExtents(napi_env env, napi_callback_info info);
napi_value StartCommit(napi_env env, napi_callback_info info);
napi_value CommitRange(napi_env env, napi_callback_info info);
napi_value DefragmentRange(napi_env env, napi_callback_info info);
napi_value TakeTurn(napi_env env, napi_callback_info info);
napi_value LeaveTurn(napi_env env, napi_callback_info info);
napi_value CloneRange(napi_env env, napi_callback_info info);
napi_value CloneToNewFile(napi_env env, napi_callback_info info);
napi_value RemoveFiles(napi_env env, napi_callback_info info);
napi_value DedupeRange(napi_env env, napi_callback_info info);
napi_value LeaseFile(napi_env env, napi_callback_info info);
napi_value SetModifiedTime(napi_env env, napi_callback_info info);
