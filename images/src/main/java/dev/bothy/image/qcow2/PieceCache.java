package dev.bothy.image.qcow2;

import dev.bothy.image.storage.Storage;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;

/**
 * Pieces of tables (of 4 KiB, or a cluster if that is less) in memory; the oldest that was not used
 * again leaves first. Changed pieces stay until they are written, which {@link Metadata} does in
 * the order that a power cut asks for. Looking up wants the image's shared lock, changing pieces
 * its exclusive one.
 */
final class PieceCache {
  /** A piece of a table; its bytes are as they stand in the file. */
  static final class Piece {
    final long offset;
    final byte[] bytes;
    private boolean dirty;
    private boolean underway;

    /** Looked up again since it came or was last spared. Written without a lock: a hint. */
    private boolean used;

    private Piece(long offset, byte[] bytes) {
      this.offset = offset;
      this.bytes = bytes;
    }
  }

  /** A piece as it was when writing began. */
  private record Copy(Piece piece, byte[] bytes) {}

  private final Storage storage;
  private final int pieceSize;
  private final int capacity;
  private final LinkedHashMap<Long, Piece> pieces = new LinkedHashMap<>();
  private final List<Piece> dirty = new ArrayList<>();
  private List<Copy> underway = List.of();

  /**
   * Pieces by the low bits of their number, to be found without a lock. Slots change under this
   * cache's lock, and a piece's bytes only while nobody looks up; so whoever finds a piece that has
   * just left finds what the file has.
   */
  private final Piece[] slots;

  PieceCache(Storage storage, int pieceSize, int capacityBytes) {
    this.storage = storage;
    this.pieceSize = pieceSize;
    this.capacity = capacityBytes / pieceSize;
    this.slots = new Piece[Integer.highestOneBit(capacity)];
  }

  int pieceSize() {
    return pieceSize;
  }

  /** The piece that holds the file's byte {@code offset}. */
  Piece at(long offset) throws IOException {
    long start = offset & -pieceSize;
    Piece piece = slots[slot(start)];
    if (piece == null || piece.offset != start) {
      return find(start);
    }
    if (!piece.used) {
      piece.used = true;
    }
    return piece;
  }

  private int slot(long start) {
    return (int) (start / pieceSize) & slots.length - 1;
  }

  private synchronized Piece find(long start) throws IOException {
    Piece piece = pieces.get(start);
    if (piece == null) {
      makeRoom();
      byte[] bytes = new byte[pieceSize];
      storage.read(start, MemorySegment.ofArray(bytes));
      piece = new Piece(start, bytes);
      pieces.put(start, piece);
    }
    slots[slot(start)] = piece;
    return piece;
  }

  private void makeRoom() {
    // Once to spare those that are used, once to find that they were not used meanwhile.
    for (int left = 2 * pieces.size(); pieces.size() >= capacity && left > 0; left--) {
      Piece eldest = pieces.pollFirstEntry().getValue();
      if (eldest.dirty || eldest.underway || eldest.used) {
        eldest.used = false;
        pieces.put(eldest.offset, eldest);
      } else {
        leave(eldest);
      }
    }
  }

  private void leave(Piece piece) {
    int slot = slot(piece.offset);
    if (slots[slot] == piece) {
      slots[slot] = null;
    }
  }

  /** Says that a piece's bytes were changed. */
  synchronized void changed(Piece piece) {
    if (!piece.dirty) {
      piece.dirty = true;
      dirty.add(piece);
    }
  }

  /** True if so much waits to be written that it should be. */
  synchronized boolean full() {
    return dirty.size() > capacity / 2;
  }

  synchronized boolean isDirty() {
    return !dirty.isEmpty();
  }

  /** Forgets pieces of a range of the file that is about to be written past this cache. */
  synchronized void forget(long offset, long length) {
    for (long at = offset; at < offset + length; at += pieceSize) {
      Piece piece = pieces.remove(at);
      if (piece == null) {
        continue;
      }
      leave(piece);
      if (piece.dirty) {
        dirty.remove(piece);
      }
    }
  }

  /** Takes what is to be written, as it is now; {@link #write} and {@link #end} follow. */
  synchronized boolean begin() {
    underway = new ArrayList<>(dirty.size());
    for (Piece piece : dirty) {
      piece.dirty = false;
      piece.underway = true;
      underway.add(new Copy(piece, piece.bytes.clone()));
    }
    dirty.clear();
    return !underway.isEmpty();
  }

  void write() throws IOException {
    for (Copy copy : underway) {
      storage.write(copy.piece().offset, MemorySegment.ofArray(copy.bytes()));
    }
  }

  /** Ends what {@link #begin} began; what was not written is dirty again. */
  synchronized void end(boolean written) {
    for (Copy copy : underway) {
      copy.piece().underway = false;
      if (!written && pieces.get(copy.piece().offset) == copy.piece()) {
        changed(copy.piece());
      }
    }
    underway = List.of();
  }
}
