/** Disk images behind one interface: raw and qcow2. */
module dev.bothy.images {
  requires aircompressor;
  requires dev.bothy.host;
  requires jdk.unsupported; // aircompressor's Unsafe

  exports dev.bothy.image;
  exports dev.bothy.image.qcow2;
}
