package dev.bothy.kvm;

import dev.bothy.host.DeviceCalls;

/**
 * A request to a machine or a vCPU of KVM that has to be granted: Linux'
 * Documentation/virt/kvm/api.rst names each.
 */
final class KvmRequest {
  private KvmRequest() {}

  /**
   * Makes a request, and returns what it answers.
   *
   * @param name of the request, for people
   * @param argument a number or the address of native memory, as the request wants
   * @throws KvmException if it is refused
   */
  static int require(int descriptor, String name, long request, long argument) {
    return granted(name, DeviceCalls.ioctl(descriptor, request, argument));
  }

  /**
   * The answer to a request that has been made: {@code result}.
   *
   * @throws KvmException if that is a negative error number
   */
  static int granted(String name, int result) {
    if (result < 0) {
      throw KvmException.of(name, result);
    }
    return result;
  }
}
