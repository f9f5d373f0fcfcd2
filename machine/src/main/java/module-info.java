/** The board, its boot protocols and tables, the vCPU threads and the life of a machine. */
module dev.bothy.machine {
  requires transitive dev.bothy.core;
  requires transitive dev.bothy.x86;
  requires transitive dev.bothy.devices;
  requires org.tukaani.xz;

  exports dev.bothy.machine;
  exports dev.bothy.machine.boot;
}
