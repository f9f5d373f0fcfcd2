/** What Bothy asks of the host: memory, executable memory and the terminal. */
module dev.bothy.host {
  exports dev.bothy.host;
}
