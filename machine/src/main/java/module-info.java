module dev.bothy.machine {
  requires transitive dev.bothy.core;
  requires transitive dev.bothy.x86;
  requires transitive dev.bothy.devices;
}
