/**
 * Reading arguments and making replies, for the files of the addon.
 *
 * Each `Read…` gives false when an argument is something else, which only a bug in src/kernel can
 * cause; the caller then returns `RejectArguments`.
 */

#pragma once

#ifndef NAPI_VERSION
#define NAPI_VERSION 8
#endif
#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace addon {

/** The arguments of one call, which must be exactly `kCount`. */
template <size_t kCount>
class Arguments {
 public:
  Arguments(napi_env env, napi_callback_info info) : env_(env) {
    size_t count = kCount;
    complete_ = napi_get_cb_info(env, info, &count, values_, nullptr, nullptr) == napi_ok &&
                count == kCount;
  }

  bool ReadInt(size_t index, int* value) const {
    return complete_ && napi_get_value_int32(env_, values_[index], value) == napi_ok;
  }

  /** A `bigint` that is not negative. */
  bool ReadCount(size_t index, int64_t* value) const {
    bool fits = false;
    return complete_ &&
           napi_get_value_bigint_int64(env_, values_[index], value, &fits) == napi_ok && fits &&
           *value >= 0;
  }

  /** A `bigint` of either sign: a time may lie before 1970. */
  bool ReadSigned(size_t index, int64_t* value) const {
    bool fits = false;
    return complete_ &&
           napi_get_value_bigint_int64(env_, values_[index], value, &fits) == napi_ok && fits;
  }

  /** A `Uint8Array` or `Buffer`; valid until the call returns. */
  bool ReadBytes(size_t index, const uint8_t** bytes, size_t* size_bytes) const {
    napi_typedarray_type type;
    void* data = nullptr;
    if (!complete_ || napi_get_typedarray_info(env_, values_[index], &type, size_bytes, &data,
                                               nullptr, nullptr) != napi_ok) {
      return false;
    }
    *bytes = static_cast<const uint8_t*>(data);
    return type == napi_uint8_array;
  }

  /** As `ReadBytes`, to write to. */
  bool ReadWritable(size_t index, uint8_t** bytes, size_t* size_bytes) const {
    const uint8_t* data = nullptr;
    if (!ReadBytes(index, &data, size_bytes)) return false;
    *bytes = const_cast<uint8_t*>(data);
    return true;
  }

  /** What `napi_create_external` made; only ours get here. */
  bool ReadExternal(size_t index, void** data) const {
    return complete_ && napi_get_value_external(env_, values_[index], data) == napi_ok;
  }

  /** A `Float64Array`. */
  bool ReadWritableDoubles(size_t index, double** numbers, size_t* count) const {
    napi_typedarray_type type;
    void* data = nullptr;
    if (!complete_ || napi_get_typedarray_info(env_, values_[index], &type, count, &data, nullptr,
                                               nullptr) != napi_ok) {
      return false;
    }
    *numbers = static_cast<double*>(data);
    return type == napi_float64_array;
  }

  bool ReadDoubles(size_t index, const double** numbers, size_t* count) const {
    double* writable = nullptr;
    const bool is_read = ReadWritableDoubles(index, &writable, count);
    *numbers = writable;
    return is_read;
  }

  /** An `Int32Array`. */
  bool ReadInts(size_t index, const int32_t** numbers, size_t* count) const {
    napi_typedarray_type type;
    void* data = nullptr;
    if (!complete_ || napi_get_typedarray_info(env_, values_[index], &type, count, &data, nullptr,
                                               nullptr) != napi_ok) {
      return false;
    }
    *numbers = static_cast<const int32_t*>(data);
    return type == napi_int32_array;
  }

  /** An array, whose elements the caller reads. */
  bool ReadArray(size_t index, napi_value* array, uint32_t* count) const {
    *array = complete_ ? values_[index] : nullptr;
    return complete_ && napi_get_array_length(env_, *array, count) == napi_ok;
  }

  /** A string of fewer than `capacity` bytes. */
  bool ReadText(size_t index, char* text, size_t capacity) const {
    size_t length = 0;
    return complete_ &&
           napi_get_value_string_utf8(env_, values_[index], text, capacity, &length) == napi_ok &&
           length + 1 < capacity;
  }

 private:
  napi_env env_;
  napi_value values_[kCount];
  bool complete_ = false;
};

inline napi_value RejectCall(napi_env env, const char* expected) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", expected);
  return nullptr;
}

inline napi_value IntValue(napi_env env, int number) {
  napi_value value = nullptr;
  napi_create_int32(env, number, &value);
  return value;
}

inline napi_value CountValue(napi_env env, uint64_t count) {
  napi_value value = nullptr;
  napi_create_bigint_uint64(env, count, &value);
  return value;
}

/** A typed array with a copy of the numbers; `type` must be that of `Number`. */
template <typename Number>
napi_value NumbersValue(napi_env env, napi_typedarray_type type,
                        const std::vector<Number>& numbers) {
  void* memory = nullptr;
  napi_value buffer = nullptr;
  napi_value array = nullptr;
  const size_t size_bytes = numbers.size() * sizeof(Number);
  if (napi_create_arraybuffer(env, size_bytes, &memory, &buffer) != napi_ok) return nullptr;
  if (size_bytes > 0) memcpy(memory, numbers.data(), size_bytes);
  napi_create_typedarray(env, type, numbers.size(), buffer, 0, &array);
  return array;
}

/** `{ errno }`, to which the caller adds. */
inline napi_value Reply(napi_env env, int error_number) {
  napi_value reply = nullptr;
  napi_create_object(env, &reply);
  napi_set_named_property(env, reply, "errno", IntValue(env, error_number));
  return reply;
}

}  // namespace addon
