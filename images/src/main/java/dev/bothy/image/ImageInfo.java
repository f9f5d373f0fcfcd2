package dev.bothy.image;

import java.util.List;
import java.util.Map;

/**
 * What is to be said about an image.
 *
 * @param size bytes of the disk
 * @param fileSize bytes of the file, holes included
 * @param allocated bytes that the file takes on the host's disk; -1: not known
 * @param backing name of the backing file as it stands in the image; empty: none
 * @param backingFormat its format as it stands in the image; empty: not said
 * @param details what only this format has, in an order for people: text, numbers and booleans
 * @param snapshots internal snapshots
 */
public record ImageInfo(
    ImageFormat format,
    long size,
    long fileSize,
    long allocated,
    String backing,
    String backingFormat,
    Map<String, Object> details,
    List<Snapshot> snapshots) {}
