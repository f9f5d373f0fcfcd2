package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getByte;
import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.getShort;
import static dev.bothy.host.RawMemory.putByte;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.host.RawMemory.putShort;

import dev.bothy.x86.decode.Instruction;

/** MOV, MOVZX, MOVSX, MOVSXD, LEA, PUSH and POP in 64-bit code: a class for each form. */
final class MoveNodes {
  private static final long LOW = 0xffff_ffffL;

  private MoveNodes() {}

  /** Register to register. */
  static Node register(int size, long target, long source) {
    return switch (size) {
      case 1 -> new Move8(target, source);
      case 2 -> new Move16(target, source);
      case 4 -> new Move32(target, source);
      default -> new Move64(target, source);
    };
  }

  /** Immediate to a whole register. */
  static Node constant(long target, long value) {
    return new Constant(target, value);
  }

  static Node load(Processor cpu, Instruction i, int offset, int size, long target) {
    return switch (size) {
      case 1 -> new Load8(cpu, i, offset, target);
      case 2 -> new Load16(cpu, i, offset, target);
      case 4 -> new Load32(cpu, i, offset, target);
      default -> new Load64(cpu, i, offset, target);
    };
  }

  /** Register, or where {@code source} is the zero slot, immediate to memory. */
  static Node store(
      Processor cpu, Instruction i, int offset, int size, long source, long immediate) {
    return switch (size) {
      case 1 -> new Store8(cpu, i, offset, source, immediate);
      case 2 -> new Store16(cpu, i, offset, source, immediate);
      case 4 -> new Store32(cpu, i, offset, source, immediate);
      default -> new Store64(cpu, i, offset, source, immediate);
    };
  }

  /** MOVZX, MOVSX, MOVSXD to a 32- or 64-bit register. */
  static Node extendLoad(
      Processor cpu, Instruction i, int offset, int from, int to, boolean sign, long target) {
    long mask = to == 8 ? -1 : LOW;
    if (!sign) {
      return from == 1
          ? new LoadZero8(cpu, i, offset, target)
          : new LoadZero16(cpu, i, offset, target);
    }
    return switch (from) {
      case 1 -> new LoadSign8(cpu, i, offset, target, mask);
      case 2 -> new LoadSign16(cpu, i, offset, target, mask);
      default -> new LoadSign32(cpu, i, offset, target, mask);
    };
  }

  static Node extend(int from, int to, boolean sign, long target, long source) {
    long mask = to == 8 ? -1 : LOW;
    if (!sign) {
      return from == 1 ? new Zero8(target, source) : new Zero16(target, source);
    }
    return switch (from) {
      case 1 -> new Sign8(target, source, mask);
      case 2 -> new Sign16(target, source, mask);
      default -> new Sign32(target, source, mask);
    };
  }

  static Node lea(Processor cpu, Instruction i, int offset, int size, long target) {
    return size == 8 ? new Lea64(cpu, i, offset, target) : new Lea32(cpu, i, offset, target);
  }

  static Node push(long rspAt, long source, long immediate) {
    return new Push(rspAt, source, immediate);
  }

  static Node pop(long rspAt, long target) {
    return new Pop(rspAt, target);
  }

  private abstract static class Pair extends Node {
    final long target;
    final long source;

    Pair(long target, long source) {
      this.target = target;
      this.source = source;
    }
  }

  private static final class Move8 extends Pair {
    Move8(long target, long source) {
      super(target, source);
    }

    @Override
    void run(Processor cpu) {
      putByte(target, getByte(source));
    }
  }

  private static final class Move16 extends Pair {
    Move16(long target, long source) {
      super(target, source);
    }

    @Override
    void run(Processor cpu) {
      putShort(target, getShort(source));
    }
  }

  private static final class Move32 extends Pair {
    Move32(long target, long source) {
      super(target, source);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, getInt(source) & LOW);
    }
  }

  private static final class Move64 extends Pair {
    Move64(long target, long source) {
      super(target, source);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, getLong(source));
    }
  }

  private static final class Constant extends Node {
    private final long target;
    private final long value;

    Constant(long target, long value) {
      this.target = target;
      this.value = value;
    }

    @Override
    void run(Processor cpu) {
      putLong(target, value);
    }
  }

  private static final class Zero8 extends Pair {
    Zero8(long target, long source) {
      super(target, source);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, getByte(source) & 0xff);
    }
  }

  private static final class Zero16 extends Pair {
    Zero16(long target, long source) {
      super(target, source);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, getShort(source) & 0xffff);
    }
  }

  private abstract static class SignPair extends Pair {
    final long mask;

    SignPair(long target, long source, long mask) {
      super(target, source);
      this.mask = mask;
    }
  }

  private static final class Sign8 extends SignPair {
    Sign8(long target, long source, long mask) {
      super(target, source, mask);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, getByte(source) & mask);
    }
  }

  private static final class Sign16 extends SignPair {
    Sign16(long target, long source, long mask) {
      super(target, source, mask);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, getShort(source) & mask);
    }
  }

  private static final class Sign32 extends SignPair {
    Sign32(long target, long source, long mask) {
      super(target, source, mask);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, getInt(source) & mask);
    }
  }

  private abstract static class Load extends MemoryNode {
    final long target;

    Load(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset);
      this.target = target;
    }
  }

  private static final class Load8 extends Load {
    Load8(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      putByte(target, (byte) cpu.load8(address()));
    }
  }

  private static final class Load16 extends Load {
    Load16(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      putShort(target, (short) cpu.load16(address()));
    }
  }

  private static final class Load32 extends Load {
    Load32(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, cpu.load32(address()) & LOW);
    }
  }

  private static final class Load64 extends Load {
    Load64(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, cpu.load64(address()));
    }
  }

  private static final class LoadZero8 extends Load {
    LoadZero8(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, cpu.load8(address()));
    }
  }

  private static final class LoadZero16 extends Load {
    LoadZero16(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, cpu.load16(address()));
    }
  }

  private abstract static class LoadSign extends Load {
    final long mask;

    LoadSign(Processor cpu, Instruction i, int offset, long target, long mask) {
      super(cpu, i, offset, target);
      this.mask = mask;
    }
  }

  private static final class LoadSign8 extends LoadSign {
    LoadSign8(Processor cpu, Instruction i, int offset, long target, long mask) {
      super(cpu, i, offset, target, mask);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, (byte) cpu.load8(address()) & mask);
    }
  }

  private static final class LoadSign16 extends LoadSign {
    LoadSign16(Processor cpu, Instruction i, int offset, long target, long mask) {
      super(cpu, i, offset, target, mask);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, (short) cpu.load16(address()) & mask);
    }
  }

  private static final class LoadSign32 extends LoadSign {
    LoadSign32(Processor cpu, Instruction i, int offset, long target, long mask) {
      super(cpu, i, offset, target, mask);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, cpu.load32(address()) & mask);
    }
  }

  private abstract static class Store extends MemoryNode {
    final long source;
    final long immediate;

    Store(Processor cpu, Instruction i, int offset, long source, long immediate) {
      super(cpu, i, offset);
      this.source = source;
      this.immediate = immediate;
    }
  }

  private static final class Store8 extends Store {
    Store8(Processor cpu, Instruction i, int offset, long source, long immediate) {
      super(cpu, i, offset, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      cpu.store8(address(), getByte(source) + (int) immediate);
    }
  }

  private static final class Store16 extends Store {
    Store16(Processor cpu, Instruction i, int offset, long source, long immediate) {
      super(cpu, i, offset, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      cpu.store16(address(), getShort(source) + (int) immediate);
    }
  }

  private static final class Store32 extends Store {
    Store32(Processor cpu, Instruction i, int offset, long source, long immediate) {
      super(cpu, i, offset, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      cpu.store32(address(), getInt(source) + (int) immediate);
    }
  }

  private static final class Store64 extends Store {
    Store64(Processor cpu, Instruction i, int offset, long source, long immediate) {
      super(cpu, i, offset, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      cpu.store64(address(), getLong(source) + immediate);
    }
  }

  private static final class Lea64 extends Load {
    Lea64(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, address());
    }
  }

  private static final class Lea32 extends Load {
    Lea32(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, address() & LOW);
    }
  }

  private static final class Push extends Node {
    private final long rspAt;
    private final long source;
    private final long immediate;

    Push(long rspAt, long source, long immediate) {
      this.rspAt = rspAt;
      this.source = source;
      this.immediate = immediate;
    }

    @Override
    void run(Processor cpu) {
      long sp = getLong(rspAt) - 8;
      cpu.store64(sp, getLong(source) + immediate);
      putLong(rspAt, sp);
    }
  }

  private static final class Pop extends Node {
    private final long rspAt;
    private final long target;

    Pop(long rspAt, long target) {
      this.rspAt = rspAt;
      this.target = target;
    }

    @Override
    void run(Processor cpu) {
      long sp = getLong(rspAt);
      long value = cpu.load64(sp);
      // In this order POP RSP ends with the value.
      putLong(rspAt, sp + 8);
      putLong(target, value);
    }
  }
}
