package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.guest.DefaultGuest;
import dev.bothy.host.NativeAccess;
import dev.bothy.machine.Machine;
import dev.bothy.machine.MachineExit;
import dev.bothy.machine.MachineOptions;
import dev.bothy.machine.boot.KernelBoot;
import dev.bothy.x86.translate.TranslatorEngine;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Folders of the host in the hands of Linux's driver, all in one boot; looked at from the host. */
@Timeout(1800)
class ShareGuestTest {
  @TempDir Path outside;

  private Path work;
  private Path fixed;

  @BeforeEach
  void makeFolders() throws IOException {
    Assumptions.assumeTrue(NativeAccess.allowed() && Files.isDirectory(Path.of("/proc/self/fd")));
    work = Files.createDirectory(outside.resolve("work"));
    fixed = Files.createDirectory(outside.resolve("fixed"));
    Files.writeString(outside.resolve("secret"), "not for guests");
    Files.writeString(work.resolve("greeting"), "from the host\n");
    Files.createSymbolicLink(work.resolve("way-out"), Path.of("../secret"));
    Files.createSymbolicLink(work.resolve("far-out"), outside.resolve("secret"));
    Files.writeString(fixed.resolve("law"), "stays as it is\n");
  }

  /** A machine, its console and what it holds on the host. */
  private record Running(Machine machine, Console console, Cards cards) implements AutoCloseable {
    @Override
    public void close() throws IOException {
      machine.close();
      console.end();
      cards.close();
    }
  }

  private Running machine() throws Exception {
    DefaultGuest guest = GuestShell.guest(DefaultGuest.CLOUD_KERNEL);
    Cards cards = new Cards();
    cards.add(new Share(work, "work", false));
    cards.add(new Share(fixed, "fixed", true));
    ConsoleOutput output = new ConsoleOutput(null);
    MachineOptions options =
        MachineOptions.of(
                512 << 20,
                Engines.factory(
                    Engines.AUTO, CpuModel.V2, TranslatorEngine.Observation.NONE, Optional.empty()),
                new KernelBoot(
                    guest.kernel(),
                    Optional.of(guest.initrd()),
                    guest.commandLine() + " bothy.share=work bothy.share=fixed,ro"),
                output)
            .withCpus(2);
    Machine machine = new Machine(cards.in(options));
    return new Running(machine, new Console(output, machine.serial()), cards);
  }

  @Test
  void aFolderIsAFileSystemOfTheGuest() throws Exception {
    ByteArrayOutputStream saved = new ByteArrayOutputStream();
    try (Running running = machine()) {
      running.machine().start();
      GuestShell shell = new GuestShell(running.console());
      shell.awaitPrompt();
      assertEquals("/mnt/work /mnt/fixed (read-only)", shell.run("echo $(cat /run/shares)"));
      shell.run("PS1='" + GuestShell.PROMPT + "'; cd /mnt/work");
      filesAreReadAndWritten(shell);
      namesChange(shell);
      whatIsOpenStaysThere(shell);
      manyFilesAreListed(shell);
      pagesAreMapped(shell);
      nothingIsReachedOutside(shell);
      nothingChangesInAFixedFolder(shell);
      // A file that is open, one that has no name any more, and a folder to be in.
      shell.run("mkdir place; cd place; echo kept > file; exec 3<> file; head -c 2 <&3");
      shell.run("echo nameless > gone; exec 4< gone; rm gone");
      running.machine().pause();
      running.machine().save(saved);
    }
    try (Running running = machine()) {
      running.machine().load(new ByteArrayInputStream(saved.toByteArray()));
      running.machine().resume();
      aLoadedMachineGoesOn(new GuestShell(running.console()));
      running.console().send("exit\n");
      assertEquals(new MachineExit.PoweredOff(), running.machine().awaitExit());
    }
    assertEquals("not for guests", Files.readString(outside.resolve("secret")));
    try (Stream<Path> all = Files.list(outside)) {
      assertEquals(3, all.count());
    }
  }

  private void filesAreReadAndWritten(GuestShell shell) throws Exception {
    assertEquals("from the host", shell.run("cat greeting"));
    shell.run("echo from the guest > answer; chmod 640 answer");
    assertEquals("from the guest\n", Files.readString(work.resolve("answer")));
    assertEquals("640", shell.run("stat -c %a answer"));
    shell.run("echo and more >> answer");
    assertEquals("from the guest\nand more\n", Files.readString(work.resolve("answer")));
    shell.run("truncate -s 4 answer");
    assertEquals("from", Files.readString(work.resolve("answer")));
    // What the host changes is seen, if not at once.
    Files.writeString(work.resolve("answer"), "from the host again");
    assertEquals("yes", shell.run("until grep -q again answer; do sleep 0.2; done; echo yes"));
    byte[] data = new byte[5_000_001];
    new Random(3).nextBytes(data);
    Files.write(work.resolve("data"), data);
    shell.run("cp data copy; sync");
    assertArrayEquals(data, Files.readAllBytes(work.resolve("copy")));
    assertEquals(
        "same", shell.run("echo 3 > /proc/sys/vm/drop_caches; cmp data copy && echo same"));
    shell.run("dd if=/dev/zero of=copy bs=1000 seek=3 count=2 conv=notrunc,fsync");
    java.util.Arrays.fill(data, 3000, 5000, (byte) 0);
    assertArrayEquals(data, Files.readAllBytes(work.resolve("copy")));
    assertEquals(
        "0",
        shell.run(
            "cp data copy & cp data copy2 & cp greeting copy3; wait; cmp data copy; echo $?"));
  }

  private void namesChange(GuestShell shell) throws Exception {
    shell.run("mkdir -p a/b; mv greeting a/b/renamed; ln -s b/renamed a/link; ln a/b/renamed hard");
    assertEquals("from the host\n", Files.readString(work.resolve("a/b/renamed")));
    assertEquals(Path.of("b/renamed"), Files.readSymbolicLink(work.resolve("a/link")));
    assertEquals("2", shell.run("stat -c %h hard"));
    assertEquals("from the host", shell.run("cat a/link"));
    assertEquals("1", shell.run("rmdir a 2>&-; echo $?"));
    shell.run("mv a/b c; rm hard; mkfifo fifo");
    assertEquals("through", shell.run("echo through > fifo & cat fifo"));
    assertEquals("link", shell.run("ls a"));
    assertTrue(Files.exists(work.resolve("c/renamed")));
    assertFalse(Files.exists(work.resolve("hard")));
  }

  private void whatIsOpenStaysThere(GuestShell shell) throws Exception {
    shell.run("echo open > victim; exec 5<> victim; rm victim");
    assertFalse(Files.exists(work.resolve("victim")));
    assertEquals("open", shell.run("cat <&5"));
    assertEquals(
        "open and written", shell.run("printf ' and written' >&5; tr -d '\\n' < /dev/fd/5"));
    shell.run("exec 5<&-");
  }

  private void manyFilesAreListed(GuestShell shell) throws Exception {
    shell.run("mkdir many; for i in $(seq 1 400); do echo $i > many/file-$i; done");
    assertEquals(
        "400 400", shell.run("echo $(ls many | wc -l) $(cat many/* | sort -n | tail -n 1)"));
    List<String> names = IntStream.rangeClosed(1, 400).mapToObj(i -> "file-" + i).sorted().toList();
    try (Stream<Path> files = Files.list(work.resolve("many"))) {
      assertEquals(names, files.map(file -> file.getFileName().toString()).sorted().toList());
    }
    shell.run("rm -r many");
    assertFalse(Files.exists(work.resolve("many")));
  }

  /** A program is mapped when it runs. */
  private void pagesAreMapped(GuestShell shell) throws Exception {
    shell.run("cp /bin/busybox busybox-here; echo 3 > /proc/sys/vm/drop_caches");
    assertEquals("mapped", shell.run("./busybox-here echo mapped"));
  }

  private void nothingIsReachedOutside(GuestShell shell) throws Exception {
    assertEquals("../secret", shell.run("readlink way-out"));
    // Links are followed in the guest, and end there.
    assertEquals("1 1", shell.run("cat way-out 2>&-; a=$?; cat far-out 2>&-; echo $a $?"));
    assertEquals("fixed work", shell.run("echo $(ls ..)"));
    shell.run("ln -s ../../secret a/out; mkdir in; mv in ../../in 2>&-; echo x > a/out");
    assertFalse(Files.exists(outside.resolve("in"), LinkOption.NOFOLLOW_LINKS));
  }

  private void nothingChangesInAFixedFolder(GuestShell shell) throws Exception {
    assertEquals("stays as it is", shell.run("cat /mnt/fixed/law"));
    // Not even by a mount that would allow it.
    shell.run("mkdir /tmp/again; mount -t virtiofs fixed /tmp/again");
    for (String place : List.of("/mnt/fixed", "/tmp/again")) {
      for (String command :
          List.of(
              "echo x > %s/law",
              "echo x > %s/new",
              "rm -f %s/law",
              "mkdir %s/d",
              "chmod 777 %s/law",
              "mv -f %s/law %s/order",
              "ln %s/law %s/law2",
              "truncate -s 0 %s/law",
              "touch %s/law")) {
        String both = command.replace("%s", place);
        assertEquals("no", shell.run("(" + both + ") 2>&- || echo no"), both);
      }
    }
    assertEquals("stays as it is\n", Files.readString(fixed.resolve("law")));
    try (Stream<Path> all = Files.list(fixed)) {
      assertEquals(1, all.count());
    }
  }

  private void aLoadedMachineGoesOn(GuestShell shell) throws Exception {
    assertEquals("pt", shell.run("head -c 3 <&3").substring(0, 2));
    shell.run("echo and written later >&3");
    // It was gone when the first machine had closed it.
    assertEquals("no", shell.run("cat <&4 2>&- || echo no"));
    assertEquals("/mnt/work/place", shell.run("pwd"));
    assertEquals("file", shell.run("ls"));
    shell.run("echo new > new; cd ..; mv place moved; sync");
    assertTrue(Files.readString(work.resolve("moved/file")).contains("and written later"));
    assertEquals("new\n", Files.readString(work.resolve("moved/new")));
    assertEquals(List.of(), KernelWarnings.unknown(shell.run("dmesg -r")));
  }
}
