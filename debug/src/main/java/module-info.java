/** Looking into machines: the server that gdb connects to. */
module dev.bothy.debug {
  requires transitive dev.bothy.machine;

  exports dev.bothy.debug;
}
