package dev.bothy.image;

import java.io.IOException;
import java.util.List;

/**
 * A disk image that is open, with what is to be known and done about it beyond its content. What
 * changes the image wants it open for writing. Progress is told on the caller's thread.
 */
public interface DiskImage extends BlockDevice {
  ImageFormat format();

  /**
   * With {@code false} nothing is flushed, when it is closed neither: for images that are worth
   * nothing until they are complete, and that the host may then write in its own time.
   */
  void setBarriers(boolean on);

  /** What the image's header and file say. */
  ImageInfo info() throws IOException;

  /**
   * Looks for what contradicts itself.
   *
   * @param repair mend it; wants the image open for writing
   * @throws ImageException if the format knows no check, or the image cannot be read so far
   */
  CheckReport check(boolean repair, Progress progress) throws IOException;

  /**
   * Gives the disk another size; what is new reads as zeros. A larger size is flushed when this
   * returns.
   *
   * @throws ImageException if the image cannot have that size
   */
  void resize(long size) throws IOException;

  /** Internal snapshots, oldest first. */
  List<Snapshot> snapshots() throws IOException;

  /**
   * Keeps the disk as it is now.
   *
   * @throws ImageException if there is such a name already, or the format has no snapshots
   */
  void createSnapshot(String name) throws IOException;

  /**
   * Makes the disk what it was then, in content and size; the snapshot stays.
   *
   * @param nameOrId of one snapshot; a name goes before an id
   */
  void applySnapshot(String nameOrId) throws IOException;

  /** Forgets a snapshot. */
  void deleteSnapshot(String nameOrId) throws IOException;

  /**
   * Writes what this image has into its backing file, flushes that and empties this image.
   *
   * @throws ImageException if there is no backing file, or it cannot be opened for writing
   */
  void commit(Progress progress) throws IOException;
}
