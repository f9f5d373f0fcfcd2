module dev.bothy.devices {
  requires transitive dev.bothy.core;
}
