/** What Bothy asks of the host: memory, files, devices, signals and the terminal. */
module dev.bothy.host {
  exports dev.bothy.host;
}
