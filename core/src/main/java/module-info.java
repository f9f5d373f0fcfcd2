/**
 * The contracts between engines, devices and the machine, with memory, saved state, trace and the
 * flight recorder; knows none of them in particular.
 */
module dev.bothy.core {
  requires transitive dev.bothy.host;
  requires transitive jdk.jfr;

  exports dev.bothy.core;
  exports dev.bothy.core.cpu;
  exports dev.bothy.core.state;
}
