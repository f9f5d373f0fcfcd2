/** The bothy command. */
module dev.bothy.cli {
  requires com.fasterxml.jackson.core;
  requires dev.bothy;
}
