/** Folders of the host as file systems for a guest, through FUSE. */
module dev.bothy.share {
  requires transitive dev.bothy.core;

  exports dev.bothy.share;
}
