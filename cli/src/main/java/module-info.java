/** The bothy command. */
module dev.bothy.cli {
  requires com.fasterxml.jackson.core;
  requires dev.bothy;
  requires info.picocli;

  opens dev.bothy.cli to
      info.picocli;
}
