/** The public API: virtual machines as Java objects. */
module dev.bothy {
  requires transitive dev.bothy.debug;
  requires transitive dev.bothy.guest;
  requires transitive dev.bothy.machine;
  requires dev.bothy.kvm;

  exports dev.bothy;
}
