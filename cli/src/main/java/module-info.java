module dev.bothy.cli {
  requires transitive dev.bothy;
}
