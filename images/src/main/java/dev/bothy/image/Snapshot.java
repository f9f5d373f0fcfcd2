package dev.bothy.image;

import java.time.Instant;

/**
 * An internal snapshot.
 *
 * @param id unique in its image; usually a number
 * @param name as its user called it
 * @param diskSize bytes of the disk then
 * @param stateSize bytes of a machine's state that is kept with it; 0: none
 */
public record Snapshot(String id, String name, Instant created, long diskSize, long stateSize) {}
