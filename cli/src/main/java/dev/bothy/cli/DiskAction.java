package dev.bothy.cli;

import dev.bothy.MemorySize;
import dev.bothy.host.Terminal;
import dev.bothy.image.DiskImage;
import dev.bothy.image.ImageException;
import dev.bothy.image.ImageFormat;
import dev.bothy.image.Images;
import java.io.IOException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** What the commands of {@code bothy disk} have in common: an image, and errors of one line. */
abstract sealed class DiskAction implements Command.Action
    permits DiskCreate, DiskInfo, DiskCheck, DiskConvert, DiskResize, DiskSnapshot, DiskCommit {
  private final String name;
  final Syntax syntax;

  DiskAction(String name, String description) {
    this.name = name;
    this.syntax = new Syntax(description);
  }

  /** {@code bothy disk}. */
  static CommandGroup all() {
    return new CommandGroup(
        "disk",
        "Makes and looks after disk images.",
        "\nAn image that a machine or another command has open for writing is left alone.\n",
        List.of(
            new DiskCreate(),
            new DiskInfo(),
            new DiskCheck(),
            new DiskConvert(),
            new DiskResize(),
            new DiskSnapshot(),
            new DiskCommit()));
  }

  @Override
  public final String name() {
    return name;
  }

  @Override
  public final Syntax syntax() {
    return syntax;
  }

  @Override
  public final int run(List<String> operands) throws Exception {
    try {
      return act(operands);
    } catch (IOException e) {
      System.err.println("bothy: " + e.getMessage());
      return ExitStatus.HOST_ERROR;
    }
  }

  /**
   * Does what the command does.
   *
   * @throws IOException whose message is for the user
   */
  abstract int act(List<String> operands) throws Exception;

  /** What is done with an image that is open. */
  interface Work {
    int with(DiskImage image) throws IOException;
  }

  /** Opens an image, does something with it and closes it; errors name it. */
  static int use(Path path, Images.How how, Work work) throws IOException {
    try (DiskImage image = Images.open(path, how)) {
      return work.with(image);
    } catch (ImageException e) {
      throw Images.named(path, e);
    }
  }

  /** An option that says what format an image has, where it need not be what it looks like. */
  Option formatOption(String name) {
    return syntax.option(
        name,
        "FORMAT",
        "Format of the image: raw or qcow2 (default: what it looks like; what looks like another"
            + " format is raw only by this).");
  }

  static Optional<ImageFormat> format(Option option) {
    try {
      return option.value().map(ImageFormat::named);
    } catch (IllegalArgumentException e) {
      throw new WrongUsage(option.name() + ": " + e.getMessage());
    }
  }

  /** The format of a new image: as the option says, or else by its name. */
  static ImageFormat newFormat(Option option, Path path) {
    String name = path.toString();
    return format(option)
        .orElse(
            name.endsWith(".raw") || name.endsWith(".img") ? ImageFormat.RAW : ImageFormat.QCOW2);
  }

  static Path path(String word) {
    try {
      return Path.of(word);
    } catch (InvalidPathException e) {
      throw new WrongUsage("\"" + word + "\" cannot be the name of a file");
    }
  }

  static long size(String word) {
    try {
      return MemorySize.parse(word);
    } catch (IllegalArgumentException e) {
      throw new WrongUsage(
          "\"" + word + "\" is no size of a disk: give bytes, or a number with K, M, G or T");
    }
  }

  /** The whole number of an option. */
  static int number(Option option, int preset) {
    if (option.value().isEmpty()) {
      return preset;
    }
    String word = option.value().get();
    long number = size(word);
    if (number > Integer.MAX_VALUE) {
      throw new WrongUsage(option.name() + ": " + word + " is too much");
    }
    return (int) number;
  }

  /** "1 GiB (1073741824 bytes)". */
  static String size(long bytes) {
    String rounded = MemorySize.format(bytes);
    return rounded.endsWith("bytes") ? rounded : rounded + " (" + bytes + " bytes)";
  }

  static DiskProgress progress(String what) {
    return new DiskProgress(System.err, Terminal.isTerminal(Terminal.STANDARD_ERROR), what);
  }
}
