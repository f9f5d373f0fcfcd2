package dev.bothy.x86.translate;

import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.host.RawMemory;
import dev.bothy.x86.decode.Decoder;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.decode.TableEntry;
import java.lang.foreign.MemorySegment;

/** Finds the instructions of a block; its fields are the last one's. */
final class BlockDecoder {
  private final CpuModel model;
  private final int longestBlock;

  final Instruction[] instructions = new Instruction[BlockWriter.MOST];

  /** Where each starts in the page, and where the one behind the last would. */
  final int[] offsets = new int[BlockWriter.MOST + 1];

  /** For each: it is a jump, and what follows is where it leads. */
  final boolean[] followed = new boolean[BlockWriter.MOST];

  /**
   * @param longestBlock instructions in a block at most
   */
  BlockDecoder(CpuModel model, int longestBlock) {
    this.model = model;
    this.longestBlock = longestBlock;
    for (int i = 0; i < instructions.length; i++) {
      instructions[i] = new Instruction();
    }
  }

  /** The page at hand, and the bytes behind it that its last instruction may reach into. */
  final byte[] page = new byte[4096 + Decoder.MAX_LENGTH];

  /** What follows the block is an instruction that goes on on the next page. */
  boolean straddleFollows;

  /** Nothing follows the last one. */
  boolean endsByItself;

  /** Decodes a block's instructions; their number. */
  int decode(long pageAt, long secondAt, long physical, int mode, Translator.CodePages pages) {
    long start = physical & ~0xfffL;
    int bits = Mode.is(mode, Mode.LONG) ? 64 : 32;
    MemorySegment.copy(
        RawMemory.segment(pageAt, 4096), java.lang.foreign.ValueLayout.JAVA_BYTE, 0, page, 0, 4096);
    int end = 4096;
    if (secondAt != 0) {
      end += Decoder.MAX_LENGTH;
      MemorySegment.copy(
          RawMemory.segment(secondAt, Decoder.MAX_LENGTH),
          java.lang.foreign.ValueLayout.JAVA_BYTE,
          0,
          page,
          4096,
          Decoder.MAX_LENGTH);
    }
    int longest = secondAt == 0 ? longestBlock : 1;
    int count = 0;
    endsByItself = false;
    straddleFollows = false;
    int at = (int) physical & 0xfff;
    while (count < longest && at < 4096 && !pages.mayStopAt(start + at)) {
      Instruction i = instructions[count];
      int status = Decoder.decode(page, at, end, bits, i);
      if (status != Decoder.OK || !present(i)) {
        straddleFollows = status == Decoder.TRUNCATED;
        break;
      }
      offsets[count] = at;
      followed[count] = false;
      at += i.length;
      count++;
      if (Lowerings.ends(i, mode)) {
        int target = at + (int) i.immediate;
        if (i.op == Op.JMP
            && !Mode.is(mode, Mode.WAITING)
            && i.kind[0] == Instruction.RELATIVE
            && i.operandSize == bits >> 3
            && target >= 0
            && target < 4096
            && i.immediate == (int) i.immediate
            && !has(target, count)) {
          followed[count - 1] = true;
          at = target;
          continue;
        }
        endsByItself = true;
        break;
      }
    }
    offsets[count] = at;
    return count;
  }

  private boolean has(int offset, int count) {
    for (int k = 0; k < count; k++) {
      if (offsets[k] == offset) {
        return true;
      }
    }
    return false;
  }

  /** Makes {@code i} the instruction that this processor model has; false if it has none. */
  private boolean present(Instruction i) {
    TableEntry entry = i.entry;
    CpuFeature feature = entry.feature();
    if (feature != null && !model.has(feature)) {
      if (entry.fallback() == null) {
        return false;
      }
      i.entry = entry.fallback();
      i.op = i.entry.op();
      i.mandatoryPrefix = 0;
    }
    return true;
  }
}
