/** The default guest: a stock kernel and a busybox root, put together from Debian packages. */
module dev.bothy.guest {
  requires aircompressor;
  requires jdk.unsupported; // aircompressor's Unsafe
  requires org.apache.commons.compress;
  requires org.tukaani.xz;

  exports dev.bothy.guest;
}
