/** Looking into machines: the server that gdb connects to, and the monitor that people type at. */
module dev.bothy.debug {
  requires transitive dev.bothy.machine;

  exports dev.bothy.debug;
  exports dev.bothy.debug.monitor;
}
