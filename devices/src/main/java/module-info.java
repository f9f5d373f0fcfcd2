/** The devices of a PC, virtio's among them, and those that conformance guests look for. */
module dev.bothy.devices {
  requires transitive dev.bothy.core;
  requires transitive dev.bothy.images;
  requires transitive dev.bothy.net;
  requires transitive dev.bothy.share;

  exports dev.bothy.device.interrupt;
  exports dev.bothy.device.pci;
  exports dev.bothy.device.platform;
  exports dev.bothy.device.remapping;
  exports dev.bothy.device.serial;
  exports dev.bothy.device.timer;
  exports dev.bothy.device.virtio;
}
