/** Measurements side by side with QEMU; nothing depends on them. */
module dev.bothy.bench {
  requires dev.bothy;
  requires dev.bothy.images;
  requires dev.bothy.kvm;
  requires dev.bothy.net;
  requires java.management;
  requires jdk.httpserver;
  requires jdk.jfr;
  requires jdk.management;
  requires static org.jacoco.core;
}
