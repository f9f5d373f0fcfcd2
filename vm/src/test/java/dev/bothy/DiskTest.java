package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.device.virtio.VirtioBlock.Cache;
import dev.bothy.device.virtio.VirtioBlock.WriteErrors;
import dev.bothy.image.ImageFormat;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DiskTest {
  @Test
  void aFileAloneIsADiskForReadingAndWriting() {
    Disk disk = Disk.parse("/images/debian.qcow2");
    assertEquals(Disk.of(Path.of("/images/debian.qcow2")), disk);
    assertEquals(
        new Disk(
            Path.of("/images/debian.qcow2"),
            Optional.empty(),
            false,
            Cache.WRITEBACK,
            "",
            WriteErrors.REPORT),
        disk);
  }

  @Test
  void everythingCanBeSaid() {
    assertEquals(
        new Disk(
            Path.of("a.img"),
            Optional.of(ImageFormat.RAW),
            true,
            Cache.UNSAFE,
            "S=1,2",
            WriteErrors.PAUSE),
        Disk.parse("a.img,format=raw,readonly,cache=unsafe,serial=S=1,,2,werror=pause"));
    assertTrue(Disk.parse("a,readonly=on").readOnly());
    assertEquals(Disk.of(Path.of("a")), Disk.parse("a,readonly=off"));
  }

  @Test
  void aCommaInAFilesNameIsWrittenTwice() {
    Disk disk = Disk.parse("a,,b,,,serial=x");
    assertEquals(Path.of("a,b,"), disk.file());
    assertEquals("x", disk.serial());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "''|wants a file",
        ",readonly|wants a file",
        "a,|knows no \"\"",
        "a,size=3|knows no \"size=3\"",
        "a,format|raw or qcow2",
        "a,format=vmdk|raw or qcow2",
        "a,readonly=yes|on or off",
        "a,cache=none|writeback, writethrough, unsafe",
        "a,werror=stop|report, pause",
        "a,Format=raw|knows no \"Format=raw\"",
      })
  void whatIsNoDiskIsSaidInOneLine(String text, String mentions) {
    String message =
        assertThrows(IllegalArgumentException.class, () -> Disk.parse(text)).getMessage();
    assertTrue(message.contains(mentions), message);
    assertEquals(1, message.lines().count(), message);
  }

  @Test
  void aNameThatTheHostCannotHaveIsSaidInOneLine() {
    String message =
        assertThrows(IllegalArgumentException.class, () -> Disk.parse("a\0b")).getMessage();
    assertTrue(message.contains("no file's name"), message);
  }
}
