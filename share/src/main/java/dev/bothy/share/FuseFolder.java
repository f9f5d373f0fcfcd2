package dev.bothy.share;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Files as a guest's FUSE driver sees them, and as a device that carries its requests does: {@link
 * #serve} may be called by any number of threads at once, everything else while nobody serves.
 */
public interface FuseFolder {
  /**
   * Serves one request. May wait for the host's file system.
   *
   * @param request what the guest has written, in order: native memory that it may change
   *     meanwhile. Each header is read once
   * @param reply where the answer goes, in order: native memory; may be empty for requests that
   *     have none
   * @return bytes written to {@code reply}; 0 for requests without an answer, and for malformed
   *     ones if there is no room for an error. Never throws for what a guest did
   */
  int serve(List<MemorySegment> request, List<MemorySegment> reply);

  /** The guest's driver was reset: forgets what it knows and closes what was open. */
  void reset();

  /** Saves what the guest knows. */
  void save(StateWriter out);

  /**
   * Replaces what the guest knows by what was saved, and opens what was open. What is no longer
   * there answers ESTALE, or EBADF if it was open.
   *
   * @throws StateException if the state is damaged; nothing has changed then
   */
  void load(StateReader in) throws StateException;
}
