package dev.bothy.bench;

import dev.bothy.bench.GuestShell.Answer;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** The steps of {@code bench/system} that are about the shared folder. For one thread. */
final class ShareSteps {
  private static final int SHORT = 120;
  private static final int LONG = 900;
  private static final String MOUNTED = "/mnt/share";

  private final SystemMachine machine;
  private final int seconds;

  /**
   * @param seconds of each of stress-ng's programs
   */
  ShareSteps(SystemMachine machine, int seconds) {
    this.machine = machine;
    this.seconds = seconds;
  }

  /** A command that writes to a folder in several ways and reads it again, with checksums. */
  static String fio(String folder) {
    return "mkdir -p "
        + folder
        + " && fio --directory="
        + folder
        + " --size=48M --verify=crc32c --verify_fatal=1 --ioengine=libaio --iodepth=8 --end_fsync=1"
        + " --eta=never --minimal --output=/tmp/fio.txt"
        + " --name=random --rw=randwrite --bs=4k --stonewall"
        + " --name=direct --rw=randwrite --bs=4k-64k --direct=1 --stonewall"
        + " --name=sequential --rw=write --bs=1m --stonewall"
        + " --name=mapped --rw=randwrite --bs=4k --ioengine=mmap --stonewall"
        + " || { cat /tmp/fio.txt; false; }";
  }

  String share() throws IOException, InterruptedException {
    mount();
    Files.writeString(machine.shared().resolve("from-host"), "hello\n");
    machine.must(
        "grep -q hello " + MOUNTED + "/from-host && echo there >" + MOUNTED + "/from-guest", SHORT);
    if (!Files.readString(machine.shared().resolve("from-guest")).equals("there\n")) {
      throw new IOException("the guest's file is not the host's");
    }
    machine.must(fio(MOUNTED + "/fio"), LONG);
    machine.must("rm -r " + MOUNTED + "/fio", SHORT);
    return machine.must("findmnt -no FSTYPE,OPTIONS " + MOUNTED, SHORT);
  }

  private void mount() throws IOException, InterruptedException {
    machine.must(
        "mkdir -p %1$s && { mountpoint -q %1$s || mount -t virtiofs %2$s %1$s; }"
            .formatted(MOUNTED, SystemMachine.TAG),
        SHORT);
  }

  /**
   * Each of stress-ng's programs about file systems for a while, as many at once as there are
   * processors; those that fail again on the guest's own disk are left out.
   */
  String stress() throws IOException, InterruptedException {
    mount();
    String list = machine.must("stress-ng --class 'filesystem?'", SHORT);
    List<String> names = List.of(list.substring(list.lastIndexOf(':') + 1).strip().split("\\s+"));
    Set<String> failed = new TreeSet<>();
    Set<String> elsewhere = new TreeSet<>();
    List<String> said = new ArrayList<>();
    for (String name : names) {
      Answer answer = stress(name, MOUNTED + "/stress");
      said.add(name + ": " + answer.status() + "\n" + answer.output());
      if (answer.status() != 0) {
        Answer again = stress(name, "/root/stress");
        said.add(name + " on the disk: " + again.status() + "\n" + again.output());
        (again.status() == 0 ? failed : elsewhere).add(name);
      }
      Files.write(machine.folder().resolve("stress.txt"), said);
    }
    if (Files.exists(machine.shared().resolve("stress"))) {
      throw new IOException("the folder is not empty, and could not be removed");
    }
    String text =
        names.size() + " programs; failing on the disk, too: " + String.join(" ", elsewhere);
    if (!failed.isEmpty()) {
      throw new IOException(
          "failing on the share alone: " + String.join(" ", failed) + "; " + text);
    }
    return text;
  }

  private Answer stress(String name, String folder) throws IOException, InterruptedException {
    return machine
        .shell()
        .run(
            "mkdir -p %1$s; timeout -k 10 %2$d stress-ng --%3$s 0 --timeout %4$d --verify --temp-path %1$s; s=$?; rm -rf %1$s; (exit $s)"
                .formatted(folder, seconds + 60, name, seconds),
            LONG);
  }
}
