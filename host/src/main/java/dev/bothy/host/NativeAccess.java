package dev.bothy.host;

/**
 * Whether Bothy may call the host's C library. It may not when the system property {@code
 * bothy.native} is {@code off}, nor on hosts other than Linux; everything then takes its pure-Java
 * way or says that it cannot.
 */
public final class NativeAccess {
  private NativeAccess() {}

  /** True if calls into the C library are allowed and expected to work. */
  public static boolean allowed() {
    return !"off".equals(System.getProperty("bothy.native"))
        && System.getProperty("os.name").equals("Linux");
  }

  /**
   * For a process that runs a machine and little else: links, on a thread of its own, what every
   * machine calls, for which somebody would have to wait later; and lets the JVM's optimizing
   * compiler give way to the rest. Returns at once.
   */
  public static void linkAhead() {
    Thread.ofPlatform()
        .daemon()
        .name("bothy-link")
        .start(
            () -> {
              ExecutableMemory.refusal();
              if (allowed()) {
                CompilerThreads.giveWay();
                // Entering generated code has this shape.
                NativeFunction.unbound(NativeFunction.longs(2));
              }
            });
  }
}
