/** The border of the scan of mounted file systems: an object in, figures in typed arrays out. */

#include "scan-napi.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

#include "napi-objects.h"
#include "scan.h"

namespace {

using scan::Candidate;
using scan::FreeSpace;
using scan::MapPlan;
using scan::Options;
using scan::Report;

constexpr size_t kCandidateColumns = 8;

void WriteMap(const MapPlan& map, ObjectWriter* reply) {
  reply->Number("mapSpaceBytes", static_cast<int64_t>(map.space_bytes));
  reply->Number("mapCellBytes", static_cast<int64_t>(map.cell_bytes));
  reply->Boolean("mapIsLogical", map.is_logical);
}

std::string Hex(const uint8_t* bytes, size_t count) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < count; i += 1) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

std::string HexOf(const scan::Handle& handle) {
  return handle.length == 0 ? "" : Hex(&handle.type, 1) + Hex(handle.bytes.data(), handle.length);
}

std::string HexOf(const std::string& path) {
  return Hex(reinterpret_cast<const uint8_t*>(path.data()), path.size());
}

/** @returns one of length 0 for what is none. */
scan::Handle HandleFrom(const std::string& hex) {
  scan::Handle handle;
  const size_t count = hex.size() / 2;
  if (hex.size() % 2 != 0 || count < 2 || count - 1 > handle.bytes.size()) return handle;
  for (size_t i = 0; i < count; i += 1) {
    const auto byte = static_cast<uint8_t>(strtoul(hex.substr(i * 2, 2).c_str(), nullptr, 16));
    (i == 0 ? handle.type : handle.bytes[i - 1]) = byte;
  }
  handle.length = static_cast<uint8_t>(count - 1);
  return handle;
}

/** A column of numbers in rows, one of handles, one of paths. */
void WriteCandidates(napi_env env, const std::vector<Candidate>& files, ObjectWriter* reply) {
  std::vector<double> rows;
  rows.reserve(files.size() * kCandidateColumns);
  napi_value handles = nullptr;
  napi_value paths = nullptr;
  napi_create_array_with_length(env, files.size(), &handles);
  napi_create_array_with_length(env, files.size(), &paths);
  for (uint32_t index = 0; index < files.size(); index += 1) {
    const Candidate& file = files[index];
    for (const uint64_t figure : {file.size_bytes, file.allocated_bytes, file.fragment_count,
                                  file.ideal_count}) {
      rows.push_back(static_cast<double>(figure));
    }
    rows.insert(rows.end(), {static_cast<double>(file.mtime_ms),
                             static_cast<double>(file.access_ms), static_cast<double>(file.tier),
                             static_cast<double>(file.flags)});
    napi_handle_scope scope = nullptr;
    napi_open_handle_scope(env, &scope);
    const std::pair<napi_value, std::string> texts[] = {{handles, HexOf(file.handle)},
                                                        {paths, HexOf(file.path)}};
    for (const auto& [array, text] : texts) {
      napi_value value = nullptr;
      napi_create_string_latin1(env, text.data(), text.size(), &value);
      napi_set_element(env, array, index, value);
    }
    napi_close_handle_scope(env, scope);
  }
  reply->Array("candidates", rows);
  reply->Set("candidateHandles", handles);
  reply->Set("candidatePaths", paths);
}

/** Their paths, and `columns` figures of each one behind the other. */
void WriteDevices(napi_env env, const scan::DevicePlan& plan, const std::vector<uint64_t>& figures,
                  ObjectWriter* reply) {
  napi_value paths = nullptr;
  napi_create_array_with_length(env, plan.devices.size(), &paths);
  for (uint32_t index = 0; index < plan.devices.size(); index += 1) {
    const std::string& path = plan.devices[index].path;
    napi_value text = nullptr;
    napi_create_string_utf8(env, path.data(), path.size(), &text);
    napi_set_element(env, paths, index, text);
  }
  reply->Set("devicePaths", paths);
  reply->Array("deviceFigures", figures.data(), figures.size());
}

void Run(const std::string& source, const Options& options, Report* report) {
  scan::PlanMap(options, &report->map);
  scan::PlanDevices(options, &report->devices);
  if (source == "ext4") {
    scan::ScanExt4(options, report);
  } else if (source == "xfs") {
    scan::ScanXfs(options, report);
  } else if (source == "btrfs") {
    scan::ScanBtrfs(options, report);
  } else {
    scan::ScanWalk(options, report);
  }
  if (report->error_number == 0) scan::NameCandidates(options, &report->tally->candidates);
}

napi_value Reject(napi_env env, const char* expected) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", expected);
  return nullptr;
}

bool OneObject(napi_env env, napi_callback_info info, napi_value* object) {
  size_t count = 1;
  napi_valuetype type;
  return napi_get_cb_info(env, info, &count, object, nullptr, nullptr) == napi_ok && count == 1 &&
         napi_typeof(env, *object, &type) == napi_ok && type == napi_object;
}

}  // namespace

napi_value ScanFileSystem(napi_env env, napi_callback_info info) {
  napi_value argument = nullptr;
  if (!OneObject(env, info, &argument)) return Reject(env, "expected (request: ScanRequest)");
  ObjectReader request(env, argument);
  Options options;
  const std::string source = request.Text("source");
  options.mount_path = request.Text("mountPath");
  options.fs_type = request.Text("fsType");
  options.subtree = request.Text("subtree");
  options.device_path = request.Text("devicePath");
  options.thread_count = static_cast<uint32_t>(std::max<int64_t>(1, request.Number("threadCount")));
  options.candidate_limit = static_cast<uint32_t>(request.Number("candidateLimit"));
  options.name_count = static_cast<uint32_t>(request.Number("nameCount"));
  options.map_cell_count = static_cast<uint32_t>(request.Number("mapCellCount"));
  options.target_fragment_bytes = static_cast<uint64_t>(request.Number("targetFragmentBytes"));
  options.now_ms = request.Number("nowMs");
  options.control = request.Words("control", 4);
  if (!request.ok) return Reject(env, "expected a ScanRequest as addon.d.ts has it");

  Report report;
  try {
    Run(source, options, &report);
  } catch (const std::bad_alloc&) {
    report.error_number = ENOMEM;
    report.failed_call = "get memory to scan";
  }
  ObjectWriter reply(env);
  reply.Number("errno", report.error_number);
  reply.Text("failedCall", report.failed_call);
  if (report.error_number != 0) return reply.object();

  const scan::Tally& tally = *report.tally;
  reply.Boolean("stopped", report.stopped);
  reply.Boolean("sharedKnown", report.shared_known);
  reply.Text("slowReason", report.slow_reason);
  reply.Boolean("truncated", tally.truncated);
  reply.Number("firstErrno", tally.first_errno);
  reply.Array("figures", tally.figures.data(), tally.figures.size());
  reply.Array("countClasses", tally.count_classes.data(), tally.count_classes.size());
  reply.Array("sizeClassCounts", tally.size_class_counts.data(), tally.size_class_counts.size());
  reply.Array("sizeClassBytes", tally.size_class_bytes.data(), tally.size_class_bytes.size());
  reply.Array("usedCells", tally.used_cells.data(), tally.used_cells.size());
  reply.Array("fragmentedCells", tally.fragmented_cells.data(), tally.fragmented_cells.size());
  WriteMap(report.map, &reply);
  std::vector<uint64_t> of_devices;
  for (size_t index = 0; index < tally.device_figures.size(); index += 1) {
    const auto& figures = tally.device_figures[index];
    of_devices.push_back(report.devices.devices[index].bytes);
    of_devices.insert(of_devices.end(), figures.begin(), figures.end());
  }
  WriteDevices(env, report.devices, of_devices, &reply);
  WriteCandidates(env, tally.candidates, &reply);
  return reply.object();
}

napi_value NameFiles(napi_env env, napi_callback_info info) {
  napi_value argument = nullptr;
  if (!OneObject(env, info, &argument)) return Reject(env, "expected (request: NameRequest)");
  ObjectReader request(env, argument);
  Options options;
  options.mount_path = request.Text("mountPath");
  const std::vector<std::string> handles = request.Texts("handles");
  options.name_count = static_cast<uint32_t>(handles.size());
  options.control = request.Words("control", 4);
  if (!request.ok) return Reject(env, "expected a NameRequest as addon.d.ts has it");

  std::vector<Candidate> files(handles.size());
  for (size_t index = 0; index < handles.size(); index += 1) {
    files[index].handle = HandleFrom(handles[index]);
  }
  try {
    scan::NameCandidates(options, &files);
  } catch (const std::bad_alloc&) {
    // What was found until then is told.
  }
  napi_value paths = nullptr;
  napi_create_array_with_length(env, files.size(), &paths);
  for (uint32_t index = 0; index < files.size(); index += 1) {
    const std::string text = HexOf(files[index].path);
    napi_value value = nullptr;
    napi_create_string_latin1(env, text.data(), text.size(), &value);
    napi_set_element(env, paths, index, value);
  }
  ObjectWriter reply(env);
  reply.Set("paths", paths);
  return reply.object();
}

napi_value ScanFreeSpace(napi_env env, napi_callback_info info) {
  napi_value argument = nullptr;
  if (!OneObject(env, info, &argument)) return Reject(env, "expected (request: FreeSpaceRequest)");
  ObjectReader request(env, argument);
  Options options;
  options.mount_path = request.Text("mountPath");
  options.fs_type = request.Text("fsType");
  options.map_cell_count = static_cast<uint32_t>(request.Number("mapCellCount"));
  if (!request.ok) return Reject(env, "expected a FreeSpaceRequest as addon.d.ts has it");

  FreeSpace space;
  try {
    if (options.fs_type == "btrfs") {
      scan::FreeSpaceOfBtrfs(options, &space);
    } else {
      scan::FreeSpaceByFsmap(options, &space);
    }
  } catch (const std::bad_alloc&) {
    space.error_number = ENOMEM;
  }
  ObjectWriter reply(env);
  reply.Number("errno", space.error_number);
  reply.Text("failedCall", space.failed_call);
  reply.Number("source", space.source);
  const uint64_t figures[] = {space.free_bytes, space.largest_bytes, space.run_count,
                              space.unallocated_bytes};
  reply.Array("figures", figures, 4);
  reply.Array("classCounts", space.class_counts.data(), space.class_counts.size());
  reply.Array("classBytes", space.class_bytes.data(), space.class_bytes.size());
  reply.Array("freeCells", space.cells.data(), space.cells.size());
  WriteMap(space.map, &reply);
  std::vector<uint64_t> of_devices;
  for (size_t index = 0; index < space.device_runs.size(); index += 1) {
    const scan::FreeRuns& runs = space.device_runs[index];
    of_devices.insert(of_devices.end(), {space.devices.devices[index].bytes, runs.free_bytes,
                                         runs.largest_bytes, runs.run_count});
    of_devices.insert(of_devices.end(), runs.class_counts.begin(), runs.class_counts.end());
    of_devices.insert(of_devices.end(), runs.class_bytes.begin(), runs.class_bytes.end());
  }
  WriteDevices(env, space.devices, of_devices, &reply);
  return reply.object();
}
