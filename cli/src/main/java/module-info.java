/** The bothy command. */
module dev.bothy.cli {
  requires com.fasterxml.jackson.core;
  requires dev.bothy;
  requires java.logging;
  requires org.apache.commons.cli;
  requires org.jline.reader;
  requires org.jline.terminal;
}
