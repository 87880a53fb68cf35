/** The devices of a mounted Btrfs. Source: linux/btrfs.h (BTRFS_IOC_FS_INFO, BTRFS_IOC_DEV_INFO). */

#include <linux/btrfs.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "arguments.h"
#include "napi-objects.h"
#include "scan-napi.h"

napi_value BtrfsDevices(napi_env env, napi_callback_info info) {
  const addon::Arguments<1> arguments(env, info);
  int fd;
  if (!arguments.ReadInt(0, &fd)) return addon::RejectCall(env, "expected (fd: number)");

  btrfs_ioctl_fs_info_args file_system{};
  const int error_number = ioctl(fd, BTRFS_IOC_FS_INFO, &file_system) == 0 ? 0 : errno;
  std::vector<double> figures;
  napi_value paths = nullptr;
  napi_create_array(env, &paths);
  // Numbers of devices that were removed stay free.
  for (uint64_t id = 1; error_number == 0 && id <= file_system.max_id; id += 1) {
    btrfs_ioctl_dev_info_args device{};
    device.devid = id;
    if (ioctl(fd, BTRFS_IOC_DEV_INFO, &device) != 0) continue;
    const auto* path = reinterpret_cast<const char*>(device.path);
    napi_value text = nullptr;
    napi_create_string_utf8(env, path, strnlen(path, sizeof(device.path)), &text);
    napi_set_element(env, paths, static_cast<uint32_t>(figures.size() / 2), text);
    figures.push_back(static_cast<double>(device.total_bytes));
    figures.push_back(static_cast<double>(device.bytes_used));
  }
  ObjectWriter reply(env);
  reply.Number("errno", error_number);
  reply.Set("paths", paths);
  reply.Array("figures", figures);
  return reply.object();
}
