/** Objects at the border: their properties read, and filled in. */

#ifndef DYNAMICFS_NATIVE_NAPI_OBJECTS_H_
#define DYNAMICFS_NATIVE_NAPI_OBJECTS_H_

#include <node_api.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

constexpr size_t kPathBytesMax = 64 * 1024;

/** Reads the properties of one object; `ok` turns false at the first that is not as expected. */
class ObjectReader {
 public:
  ObjectReader(napi_env env, napi_value object) : env_(env), object_(object) {}

  std::string Text(const char* name) { return TextOf(Get(name)); }

  std::string TextOf(napi_value value) {
    size_t bytes = 0;
    ok = ok && napi_get_value_string_utf8(env_, value, nullptr, 0, &bytes) == napi_ok &&
         bytes <= kPathBytesMax;
    if (!ok) return "";
    std::string text(bytes, '\0');
    napi_get_value_string_utf8(env_, value, text.data(), bytes + 1, &bytes);
    return text;
  }

  std::vector<std::string> Texts(const char* name) {
    uint32_t count = 0;
    napi_value array = Get(name);
    ok = ok && napi_get_array_length(env_, array, &count) == napi_ok;
    std::vector<std::string> texts;
    for (uint32_t index = 0; ok && index < count; index += 1) {
      napi_value value = nullptr;
      ok = napi_get_element(env_, array, index, &value) == napi_ok;
      texts.push_back(TextOf(value));
    }
    return texts;
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
  void Array(const char* name, const std::vector<double>& numbers) {
    void* data = nullptr;
    napi_value buffer = nullptr;
    napi_value array = nullptr;
    if (napi_create_arraybuffer(env_, numbers.size() * 8, &data, &buffer) != napi_ok) return;
    if (!numbers.empty()) memcpy(data, numbers.data(), numbers.size() * 8);
    napi_create_typedarray(env_, napi_float64_array, numbers.size(), buffer, 0, &array);
    Set(name, array);
  }

  napi_value object() const { return object_; }

 private:
  napi_env env_;
  napi_value object_ = nullptr;
};

#endif  // DYNAMICFS_NATIVE_NAPI_OBJECTS_H_
