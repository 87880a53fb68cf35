/** The border of the analysis of mounted file systems: an object in, figures in typed arrays out. */

#include "scan-napi.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "scan.h"

namespace {

using scan::Candidate;
using scan::FreeSpace;
using scan::MapPlan;
using scan::Options;
using scan::Report;

constexpr size_t kCandidateColumns = 8;
constexpr size_t kPathBytesMax = 64 * 1024;

/** Reads the properties of one object; `ok` turns false at the first that is missing or another type. */
class ObjectReader {
 public:
  ObjectReader(napi_env env, napi_value object) : env_(env), object_(object) {}

  std::string Text(const char* name) {
    size_t bytes = 0;
    napi_value value = Get(name);
    ok = ok && napi_get_value_string_utf8(env_, value, nullptr, 0, &bytes) == napi_ok &&
         bytes <= kPathBytesMax;
    if (!ok) return "";
    std::string text(bytes, '\0');
    napi_get_value_string_utf8(env_, value, text.data(), bytes + 1, &bytes);
    return text;
  }

  int64_t Number(const char* name) {
    int64_t number = 0;
    ok = ok && napi_get_value_int64(env_, Get(name), &number) == napi_ok && number >= 0;
    return number;
  }

  /** Null for null. The caller keeps the array alive. */
  int32_t* Words(const char* name, size_t length_min) {
    napi_value value = Get(name);
    napi_valuetype type = napi_undefined;
    if (ok) ok = napi_typeof(env_, value, &type) == napi_ok;
    if (!ok || type == napi_null) return nullptr;
    napi_typedarray_type element;
    size_t length = 0;
    void* data = nullptr;
    ok = napi_get_typedarray_info(env_, value, &element, &length, &data, nullptr, nullptr) ==
             napi_ok &&
         element == napi_int32_array && length >= length_min;
    return ok ? static_cast<int32_t*>(data) : nullptr;
  }

  bool ok = true;

 private:
  napi_value Get(const char* name) {
    napi_value value = nullptr;
    ok = ok && napi_get_named_property(env_, object_, name, &value) == napi_ok;
    return value;
  }

  napi_env env_;
  napi_value object_;
};

/** Fills in the properties of one object. */
class ObjectWriter {
 public:
  explicit ObjectWriter(napi_env env) : env_(env) { napi_create_object(env, &object_); }

  void Set(const char* name, napi_value value) {
    napi_set_named_property(env_, object_, name, value);
  }
  void Number(const char* name, int64_t number) {
    napi_value value = nullptr;
    napi_create_int64(env_, number, &value);
    Set(name, value);
  }
  void Boolean(const char* name, bool boolean) {
    napi_value value = nullptr;
    napi_get_boolean(env_, boolean, &value);
    Set(name, value);
  }
  void Text(const char* name, const char* text) {
    napi_value value = nullptr;
    napi_create_string_utf8(env_, text, NAPI_AUTO_LENGTH, &value);
    Set(name, value);
  }
  void Array(const char* name, const uint64_t* numbers, size_t count) {
    void* data = nullptr;
    napi_value buffer = nullptr;
    napi_value array = nullptr;
    if (napi_create_arraybuffer(env_, count * 8, &data, &buffer) != napi_ok) return;
    if (count > 0) memcpy(data, numbers, count * 8);
    napi_create_typedarray(env_, napi_biguint64_array, count, buffer, 0, &array);
    Set(name, array);
  }
  void Map(const MapPlan& map) {
    Number("mapSpaceBytes", static_cast<int64_t>(map.space_bytes));
    Number("mapCellBytes", static_cast<int64_t>(map.cell_bytes));
    Boolean("mapIsLogical", map.is_logical);
  }

  napi_value object() const { return object_; }

 private:
  napi_env env_;
  napi_value object_ = nullptr;
};

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

/** A column of numbers in rows, one of handles, one of paths. */
void WriteCandidates(napi_env env, const std::vector<Candidate>& files, ObjectWriter* reply) {
  std::vector<uint64_t> rows;
  rows.reserve(files.size() * kCandidateColumns);
  napi_value handles = nullptr;
  napi_value paths = nullptr;
  napi_create_array_with_length(env, files.size(), &handles);
  napi_create_array_with_length(env, files.size(), &paths);
  for (uint32_t index = 0; index < files.size(); index += 1) {
    const Candidate& file = files[index];
    // Times before 1970 are negative: the other side reads them as signed.
    rows.insert(rows.end(), {file.size_bytes, file.allocated_bytes, file.fragment_count,
                             file.ideal_count, static_cast<uint64_t>(file.mtime_ms),
                             static_cast<uint64_t>(file.access_ms), file.tier, file.flags});
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
  reply->Array("candidates", rows.data(), rows.size());
  reply->Set("candidateHandles", handles);
  reply->Set("candidatePaths", paths);
}

void Run(const std::string& source, const Options& options, Report* report) {
  scan::PlanMap(options, &report->map);
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
  options.control = request.Words("control", 3);
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
  reply.Boolean("truncated", tally.truncated);
  reply.Number("firstErrno", tally.first_errno);
  reply.Array("figures", tally.figures.data(), tally.figures.size());
  reply.Array("countClasses", tally.count_classes.data(), tally.count_classes.size());
  reply.Array("sizeClassCounts", tally.size_class_counts.data(), tally.size_class_counts.size());
  reply.Array("sizeClassBytes", tally.size_class_bytes.data(), tally.size_class_bytes.size());
  reply.Array("usedCells", tally.used_cells.data(), tally.used_cells.size());
  reply.Array("fragmentedCells", tally.fragmented_cells.data(), tally.fragmented_cells.size());
  reply.Map(report.map);
  WriteCandidates(env, tally.candidates, &reply);
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
  reply.Map(space.map);
  return reply.object();
}
