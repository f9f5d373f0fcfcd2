package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/** Which executor handles an SSE instruction: the interpreter makes one kind of node a group. */
final class SseGroups {
  static final int NONE = -1;
  static final int MOVE = 0;
  static final int PART = 1;
  static final int INTEGER = 2;
  static final int SHIFT = 3;
  static final int SHUFFLE = 4;
  static final int FLOAT = 5;
  static final int FLOAT_RARE = 6;
  static final int CONVERT = 7;
  static final int CRYPTO = 8;
  static final int STRING = 9;
  static final int MMX = 10;

  /** Whole XMM registers: from memory, to memory, from register to register. */
  static final int LOAD = 11;

  static final int STORE = 12;
  static final int COPY = 13;

  private SseGroups() {}

  /**
   * The group of a legacy-encoded instruction on XMM registers or MXCSR; {@link #NONE} for all
   * others, those on MMX registers alone among them.
   */
  static int groupOf(Instruction i) {
    if (i.vex != 0) {
      return NONE;
    }
    boolean xmm = false;
    boolean mmx = false;
    for (int n = 0; n < i.operands; n++) {
      xmm |= i.kind[n] == Instruction.XMM;
      mmx |= i.kind[n] == Instruction.MMX;
    }
    return switch (i.op) {
      case LDMXCSR, STMXCSR -> PART;
      // From memory they have no XMM operand.
      case CVTSS2SI, CVTTSS2SI, CVTSD2SI, CVTTSD2SI -> CONVERT;
      case CVTPI2PS, CVTPI2PD, CVTPS2PI, CVTTPS2PI, CVTPD2PI, CVTTPD2PI, MOVQ2DQ, MOVDQ2Q -> MMX;
      default -> xmm && !mmx ? groupOfXmm(i.op, i) : NONE;
    };
  }

  /** The group of {@code op} with the operands of {@code i}, or {@link #NONE}. */
  static int groupOfXmm(Op op, Instruction i) {
    return switch (op) {
      case MOVAPS,
          MOVAPD,
          MOVDQA,
          MOVNTDQ,
          MOVNTPS,
          MOVNTPD,
          MOVNTDQA,
          MOVUPS,
          MOVUPD,
          MOVDQU,
          LDDQU ->
          i.isMemory(0) ? STORE : i.isMemory(1) ? LOAD : COPY;
      case MOVSS,
          MOVNTSS,
          MOVSD,
          MOVNTSD,
          MOVLPS,
          MOVLPD,
          MOVHPS,
          MOVHPD,
          MOVHLPS,
          MOVLHPS,
          MOVDDUP,
          MOVD,
          MOVQ ->
          MOVE;
      case MOVMSKPS,
          MOVMSKPD,
          PMOVMSKB,
          PINSRB,
          PINSRW,
          PINSRD,
          PINSRQ,
          PEXTRB,
          PEXTRW,
          PEXTRD,
          PEXTRQ,
          EXTRACTPS,
          INSERTPS,
          PTEST,
          MASKMOVDQU,
          EXTRQ,
          INSERTQ,
          PMOVSXBW,
          PMOVSXBD,
          PMOVSXBQ,
          PMOVSXWD,
          PMOVSXWQ,
          PMOVSXDQ,
          PMOVZXBW,
          PMOVZXBD,
          PMOVZXBQ,
          PMOVZXWD,
          PMOVZXWQ,
          PMOVZXDQ ->
          PART;
      case PAND,
          ANDPS,
          ANDPD,
          PANDN,
          ANDNPS,
          ANDNPD,
          POR,
          ORPS,
          ORPD,
          PXOR,
          XORPS,
          XORPD,
          PADDB,
          PADDW,
          PADDD,
          PADDQ,
          PSUBB,
          PSUBW,
          PSUBD,
          PSUBQ,
          PCMPEQB,
          PCMPEQW,
          PCMPEQD,
          PCMPEQQ,
          PCMPGTB,
          PCMPGTW,
          PCMPGTD,
          PCMPGTQ,
          PMINUB,
          PMAXUB,
          PMINSW,
          PMAXSW,
          PMULLW,
          PMULHW,
          PMULHUW,
          PMULUDQ,
          PMADDWD,
          PSADBW,
          PADDSB,
          PADDSW,
          PADDUSB,
          PADDUSW,
          PSUBSB,
          PSUBSW,
          PSUBUSB,
          PSUBUSW,
          PMINSB,
          PMAXSB,
          PMINUW,
          PMAXUW,
          PMINSD,
          PMAXSD,
          PMINUD,
          PMAXUD,
          PAVGB,
          PAVGW,
          PABSB,
          PABSW,
          PABSD,
          PSIGNB,
          PSIGNW,
          PSIGND,
          PMULHRSW,
          PMULLD,
          PMULDQ,
          PMADDUBSW ->
          INTEGER;
      case PSLLW, PSLLD, PSLLQ, PSRLW, PSRLD, PSRLQ, PSRAW, PSRAD -> SHIFT;
      case PUNPCKLBW,
          PUNPCKLWD,
          PUNPCKLDQ,
          UNPCKLPS,
          PUNPCKLQDQ,
          UNPCKLPD,
          PUNPCKHBW,
          PUNPCKHWD,
          PUNPCKHDQ,
          UNPCKHPS,
          PUNPCKHQDQ,
          UNPCKHPD,
          PACKSSWB,
          PACKUSWB,
          PACKSSDW,
          PACKUSDW,
          PSHUFB,
          PSRLDQ,
          PSLLDQ,
          PALIGNR,
          PSHUFD,
          PSHUFLW,
          PSHUFHW,
          SHUFPS,
          SHUFPD,
          MOVSLDUP,
          MOVSHDUP,
          PHADDW,
          PHADDD,
          PHADDSW,
          PHSUBW,
          PHSUBD,
          PHSUBSW,
          MPSADBW,
          PHMINPOSUW,
          PBLENDVB,
          BLENDVPS,
          BLENDVPD,
          PBLENDW,
          BLENDPS,
          BLENDPD ->
          SHUFFLE;
      case ADDPS,
          SUBPS,
          MULPS,
          DIVPS,
          MINPS,
          MAXPS,
          SQRTPS,
          RCPPS,
          RSQRTPS,
          ADDSS,
          SUBSS,
          MULSS,
          DIVSS,
          MINSS,
          MAXSS,
          SQRTSS,
          RCPSS,
          RSQRTSS,
          ADDPD,
          SUBPD,
          MULPD,
          DIVPD,
          MINPD,
          MAXPD,
          SQRTPD,
          ADDSD,
          SUBSD,
          MULSD,
          DIVSD,
          MINSD,
          MAXSD,
          SQRTSD ->
          FLOAT;
      case UCOMISS,
          COMISS,
          UCOMISD,
          COMISD,
          CMPSS,
          CMPSD,
          CMPPS,
          CMPPD,
          ROUNDSS,
          ROUNDSD,
          ROUNDPS,
          ROUNDPD,
          HADDPS,
          HADDPD,
          HSUBPS,
          HSUBPD,
          ADDSUBPS,
          ADDSUBPD,
          DPPS,
          DPPD ->
          FLOAT_RARE;
      case CVTSI2SS,
          CVTSI2SD,
          CVTSS2SD,
          CVTSD2SS,
          CVTPS2PD,
          CVTDQ2PD,
          CVTPD2PS,
          CVTPD2DQ,
          CVTTPD2DQ,
          CVTDQ2PS,
          CVTPS2DQ,
          CVTTPS2DQ ->
          CONVERT;
      case AESENC,
          AESENCLAST,
          AESDEC,
          AESDECLAST,
          AESIMC,
          AESKEYGENASSIST,
          PCLMULQDQ,
          SHA1MSG1,
          SHA1NEXTE,
          SHA1MSG2,
          SHA1RNDS4,
          SHA256RNDS2,
          SHA256MSG1,
          SHA256MSG2 ->
          CRYPTO;
      case PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM -> STRING;
      default -> NONE;
    };
  }

  /** Executes an instruction of {@code group}, as {@link #groupOf} gave it. */
  static void execute(int group, Cpu cpu, Instruction i) {
    switch (group) {
      case MOVE -> SseMoveOps.execute(cpu, i);
      case PART -> SseMoveOps.executePart(cpu, i);
      case INTEGER -> SseIntegerOps.execute(cpu, i);
      case SHIFT -> SseIntegerOps.executeShift(cpu, i);
      case SHUFFLE -> SseShuffleOps.execute(cpu, i);
      case FLOAT -> SseFloatOps.execute(cpu, i);
      case FLOAT_RARE -> SseFloatOps.executeRare(cpu, i);
      case CONVERT -> SseConvertOps.execute(cpu, i);
      case CRYPTO -> CryptoOps.execute(cpu, i);
      case STRING -> StringCompareOps.execute(cpu, i);
      case LOAD -> SseMoveOps.load(cpu, i);
      case STORE -> SseMoveOps.store(cpu, i);
      case COPY -> SseMoveOps.copy(cpu, i);
      case MMX -> SseMmxOps.execute(cpu, i);
      default -> throw new IllegalArgumentException("group " + group);
    }
  }
}
