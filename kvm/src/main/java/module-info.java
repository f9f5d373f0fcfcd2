/** The engine that lets the Linux kernel run vCPUs: /dev/kvm. */
module dev.bothy.kvm {
  requires transitive dev.bothy.core;

  exports dev.bothy.kvm;
}
