/** The bothy command. */
module dev.bothy.cli {
  requires com.fasterxml.jackson.core;
  requires dev.bothy;
  requires org.apache.commons.cli;
}
