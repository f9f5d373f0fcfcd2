package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import java.util.HashMap;
import java.util.Map;

/**
 * Which executor handles an AVX, AVX2, FMA or F16C instruction. Those that are SSE instructions
 * with a VEX prefix have the groups of {@link SseGroups}, the others groups of their own.
 */
final class AvxGroups {
  private static final int PERMUTE = 20;
  private static final int VARIABLE_SHIFT = 21;
  private static final int BROADCAST = 22;
  private static final int MASKED = 23;
  private static final int GATHER = 24;
  private static final int FUSED = 25;
  private static final int HALF = 26;
  private static final int TEST = 27;
  private static final int CLEAR = 28;

  /** By {@link Op}: the SSE instruction that it is the VEX form of, or null. */
  private static final Op[] BASE = new Op[Op.values().length];

  static {
    Map<String, Op> ops = new HashMap<>();
    for (Op op : Op.values()) {
      ops.put(op.name(), op);
    }
    for (Op op : Op.values()) {
      if (op.name().startsWith("V")) {
        BASE[op.ordinal()] = ops.get(op.name().substring(1));
      }
    }
  }

  private AvxGroups() {}

  /** The SSE instruction that {@code op} is the VEX form of, or null. */
  static Op base(Op op) {
    return BASE[op.ordinal()];
  }

  /** The group of an instruction of class avx. */
  static int groupOf(Instruction i) {
    Op base = base(i.op);
    if (base != null) {
      return switch (base) {
        case LDMXCSR, STMXCSR -> SseGroups.PART;
        case CVTSS2SI, CVTTSS2SI, CVTSD2SI, CVTTSD2SI -> SseGroups.CONVERT;
        default -> SseGroups.groupOfXmm(base, i);
      };
    }
    if (i.op.isGather()) {
      return GATHER;
    }
    return switch (i.op) {
      case VPERMILPS,
          VPERMILPD,
          VPERM2F128,
          VPERM2I128,
          VPERMPS,
          VPERMD,
          VPERMQ,
          VPERMPD,
          VINSERTF128,
          VINSERTI128,
          VEXTRACTF128,
          VEXTRACTI128,
          VPBLENDD ->
          PERMUTE;
      case VPSLLVD, VPSLLVQ, VPSRLVD, VPSRLVQ, VPSRAVD -> VARIABLE_SHIFT;
      case VBROADCASTSS,
          VBROADCASTSD,
          VBROADCASTF128,
          VBROADCASTI128,
          VPBROADCASTB,
          VPBROADCASTW,
          VPBROADCASTD,
          VPBROADCASTQ ->
          BROADCAST;
      case VMASKMOVPS, VMASKMOVPD, VPMASKMOVD, VPMASKMOVQ -> MASKED;
      case VCVTPH2PS, VCVTPS2PH -> HALF;
      case VTESTPS, VTESTPD -> TEST;
      case VZEROUPPER, VZEROALL -> CLEAR;
      default -> FusedOps.isFused(i.op) ? FUSED : SseGroups.NONE;
    };
  }

  /** Executes an instruction of {@code group}, as {@link #groupOf} gave it. */
  static void execute(int group, Cpu cpu, Instruction i) {
    cpu.requireAvx();
    Op base = base(i.op);
    switch (group) {
      case SseGroups.LOAD -> AvxMoveOps.load(cpu, i, base);
      case SseGroups.STORE -> AvxMoveOps.store(cpu, i, base);
      case SseGroups.COPY -> AvxMoveOps.copy(cpu, i);
      case SseGroups.MOVE -> AvxMoveOps.execute(cpu, i, base);
      case SseGroups.PART -> AvxMoveOps.executePart(cpu, i, base);
      case SseGroups.INTEGER -> AvxIntegerOps.execute(cpu, i, base);
      case SseGroups.SHIFT -> AvxIntegerOps.shift(cpu, i, base);
      case SseGroups.SHUFFLE -> AvxIntegerOps.shuffle(cpu, i, base);
      case SseGroups.FLOAT -> AvxFloatOps.execute(cpu, i, base);
      case SseGroups.FLOAT_RARE -> AvxFloatOps.executeRare(cpu, i, base);
      case SseGroups.CONVERT -> AvxConvertOps.execute(cpu, i, base);
      case SseGroups.CRYPTO -> AvxIntegerOps.crypto(cpu, i, base);
      case SseGroups.STRING -> AvxMoveOps.compareStrings(cpu, i, base);
      case PERMUTE -> AvxPermuteOps.execute(cpu, i);
      case VARIABLE_SHIFT -> AvxIntegerOps.variableShift(cpu, i);
      case BROADCAST -> AvxPermuteOps.broadcast(cpu, i);
      case MASKED -> AvxMemoryOps.masked(cpu, i);
      case GATHER -> AvxMemoryOps.gather(cpu, i);
      case FUSED -> FusedOps.execute(cpu, i);
      case HALF -> AvxConvertOps.half(cpu, i);
      case TEST -> AvxIntegerOps.testSigns(cpu, i);
      case CLEAR -> AvxMoveOps.clear(cpu, i);
      default -> throw cpu.raise(GuestFault.UD);
    }
  }
}
