package dev.bothy.x86.interpret;

import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.host.RawMemory;
import dev.bothy.x86.decode.Decoder;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.decode.TableEntry;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;

/**
 * Decodes guest code into blocks. A block ends at a branch, at an instruction that may change the
 * mode, or at its page's end.
 */
final class BlockBuilder {
  /** Instructions in a block: bounds the time between two looks at the attention word. */
  private static final int MOST = 64;

  private final Processor cpu;
  private final NodeFactory factory;
  private final byte[] bytes = new byte[4096 + 16];
  private final Instruction instruction = new Instruction();
  private final ArrayList<Node> nodes = new ArrayList<>();
  private final short[] offsets = new short[MOST + 2];

  BlockBuilder(Processor cpu) {
    this.cpu = cpu;
    factory = new NodeFactory(cpu);
  }

  Block build(long linear, long physical, int mode) {
    int inPage = (int) (0x1000 - (physical & 0xfff));
    int have = fetch(physical, 0, Math.min(inPage, MOST * 8));
    int bits = 16 << (mode & 3);
    nodes.clear();
    int at = 0;
    End end = null;
    Op first = null;
    boolean endCounts = false;
    long second = -1;
    while (end == null) {
      offsets[nodes.size()] = (short) at;
      boolean stop = cpu.codeMap.mayStopAt(physical + at);
      if (nodes.size() == MOST || stop && at > 0) {
        break;
      }
      int status = Decoder.decode(bytes, at, have, bits, instruction);
      if (status == Decoder.TRUNCATED && have < inPage) {
        have = fetch(physical, have, inPage);
        continue;
      }
      if (status == Decoder.TRUNCATED) {
        if (!nodes.isEmpty()) {
          break;
        }
        // One instruction over two pages. The second page's faults are this fetch's.
        second = cpu.translate(pageAfter(linear), PagingCpu.FETCH) & ~0xfffL;
        for (int i = 0; i < 15; i++) {
          bytes[have + i] = (byte) cpu.readPhysical(second + i, 1);
        }
        status = Decoder.decode(bytes, at, have + 15, bits, instruction);
        if (status == Decoder.TRUNCATED) {
          status = Decoder.TOO_LONG;
        }
      }
      Instruction i = status == Decoder.OK ? present(instruction) : null;
      if (at == 0 && (mode & ControlFlow.MODE_WAITING) != 0) {
        end = ControlFlow.target(i);
      }
      if (end != null) {
        first = i == null ? null : i.op;
        endCounts = true;
        at += i == null ? 1 : i.length;
      } else if (i == null) {
        end = new RaiseEnd(status == Decoder.TOO_LONG ? GuestFault.GP : GuestFault.UD);
        at += 1;
      } else {
        if (at == 0) {
          first = i.op;
        }
        end = factory.end(i, at, (int) (physical & 0xfff), mode);
        if (end != null) {
          endCounts = true;
        } else {
          Node node = factory.node(i, at);
          nodes.add(stop ? DebugStops.before(node) : node);
        }
        at += i.length;
      }
      end = stop && end != null ? DebugStops.before(end) : end;
      if (stop || second >= 0 || at >= inPage) {
        break;
      }
    }
    if (end == null) {
      offsets[nodes.size()] = (short) at;
      end = factory.fallThrough(at, (int) (physical & 0xfff));
    }
    int count = nodes.size();
    short[] starts = java.util.Arrays.copyOf(offsets, count + 1);
    return new Block(
        physical,
        second,
        mode,
        Math.max(at, 1),
        nodes.toArray(new Node[count]),
        starts,
        endCounts,
        end,
        first);
  }

  private long pageAfter(long linear) {
    long next = (linear & ~0xfffL) + 0x1000;
    return cpu.codeBits == 64 ? next : next & 0xffff_ffffL;
  }

  private int fetch(long physical, int from, int to) {
    long host = cpu.hostOf(physical);
    if (host != 0) {
      MemorySegment.copy(
          RawMemory.segment(host + from, to - from),
          java.lang.foreign.ValueLayout.JAVA_BYTE,
          0,
          bytes,
          from,
          to - from);
      return to;
    }
    int end = Math.min(to, from + 15);
    for (int i = from; i < end; i++) {
      bytes[i] = (byte) cpu.readPhysical(physical + i, 1);
    }
    return end;
  }

  /** The instruction as this processor model has it, or null if it has not. */
  private Instruction present(Instruction i) {
    TableEntry entry = i.entry;
    CpuFeature feature = entry.feature();
    if (feature != null && !cpu.model.has(feature)) {
      if (entry.fallback() == null) {
        return null;
      }
      i.entry = entry.fallback();
      i.op = i.entry.op();
    }
    return i;
  }

  /** What is no instruction: #UD, or #GP when it is too long. */
  private static final class RaiseEnd extends End {
    private final int vector;

    RaiseEnd(int vector) {
      this.vector = vector;
    }

    @Override
    Block run(Processor cpu) {
      throw cpu.raise(vector, 0);
    }
  }
}
