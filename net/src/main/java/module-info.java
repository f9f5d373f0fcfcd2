/** Networks that a machine's cards are plugged into: user-mode TCP/IP and tap interfaces. */
module dev.bothy.net {
  requires transitive dev.bothy.host;

  exports dev.bothy.net;
}
