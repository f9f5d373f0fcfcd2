/** Measurements side by side with QEMU; nothing depends on them. */
module dev.bothy.bench {
  requires dev.bothy;
  requires java.management;
  requires jdk.jfr;
}
