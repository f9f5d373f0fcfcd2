package dev.bothy.image.qcow2;

import dev.bothy.image.storage.Storage;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;

/**
 * Pieces of tables (of 4 KiB, or a cluster if that is less) in memory, the least recently used
 * leaving first. Changed pieces stay until they are written, which {@link Metadata} does in the
 * order that a power cut asks for. Looking up is thread-safe; changing pieces wants the image's
 * exclusive lock.
 */
final class PieceCache {
  /** A piece of a table; its bytes are as they stand in the file. */
  static final class Piece {
    final long offset;
    final byte[] bytes;
    private boolean dirty;
    private boolean underway;

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
  private final LinkedHashMap<Long, Piece> pieces = new LinkedHashMap<>(16, 0.75f, true);
  private final List<Piece> dirty = new ArrayList<>();
  private List<Copy> underway = List.of();

  /** The one that was looked up last. */
  private Piece last;

  PieceCache(Storage storage, int pieceSize, int capacityBytes) {
    this.storage = storage;
    this.pieceSize = pieceSize;
    this.capacity = capacityBytes / pieceSize;
  }

  int pieceSize() {
    return pieceSize;
  }

  /** The piece that holds the file's byte {@code offset}. */
  synchronized Piece at(long offset) throws IOException {
    long start = offset & -pieceSize;
    if (last != null && last.offset == start) {
      return last;
    }
    Piece piece = pieces.get(start);
    if (piece == null) {
      makeRoom();
      byte[] bytes = new byte[pieceSize];
      storage.read(start, MemorySegment.ofArray(bytes));
      piece = new Piece(start, bytes);
      pieces.put(start, piece);
    }
    last = piece;
    return piece;
  }

  private void makeRoom() {
    last = null;
    Iterator<Piece> eldest = pieces.values().iterator();
    while (pieces.size() >= capacity && eldest.hasNext()) {
      Piece piece = eldest.next();
      if (!piece.dirty && !piece.underway) {
        eldest.remove();
      }
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
    last = null;
    for (long at = offset; at < offset + length; at += pieceSize) {
      Piece piece = pieces.remove(at);
      if (piece != null && piece.dirty) {
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
