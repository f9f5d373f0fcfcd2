module dev.bothy {
  requires transitive dev.bothy.machine;
  requires transitive dev.bothy.guest;
}
