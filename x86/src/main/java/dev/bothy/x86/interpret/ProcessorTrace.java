package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;

import dev.bothy.core.Engine;
import dev.bothy.core.Trace;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Decoder;
import dev.bothy.x86.decode.Disassembler;
import dev.bothy.x86.decode.Instruction;
import java.util.HexFormat;
import java.util.Locale;

/** What a vCPU tells a {@link Trace}. Belongs to the vCPU's thread; untraced vCPUs have none. */
final class ProcessorTrace {
  private static final String[] EXCEPTIONS = {
    "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "", "#TS", "#NP", "#SS", "#GP",
    "#PF", "", "#MF", "#AC", "#MC", "#XM"
  };

  private final Processor cpu;
  private final Trace trace;

  /** Every instruction is run alone, and told of if it lies in the ranges. */
  final boolean instructions;

  private ProcessorTrace(Processor cpu, Trace trace) {
    this.cpu = cpu;
    this.trace = trace;
    instructions = trace.wants(Trace.Kind.INSTRUCTIONS);
  }

  /** The trace of {@code cpu}; null if {@code trace} wants nothing of processors, or is null. */
  static ProcessorTrace of(Processor cpu, Trace trace) {
    return trace != null && Engine.PROCESSOR_KINDS.stream().anyMatch(trace::wants)
        ? new ProcessorTrace(cpu, trace)
        : null;
  }

  private long linearRip() {
    long rip = getLong(cpu.ripAt);
    return cpu.codeBits == 64 ? rip : cpu.segmentBase(CpuState.CS) + rip & 0xffff_ffffL;
  }

  private void tell(Trace.Kind kind, String form, Object... values) {
    trace.tell(kind, String.format(Locale.ROOT, form, values));
  }

  /** The instruction at RIP is about to run. */
  void instruction() {
    long linear = linearRip();
    if (!trace.wants(Trace.Kind.INSTRUCTIONS, linear)) {
      return;
    }
    byte[] code = CpuReport.code(cpu, Decoder.MAX_LENGTH);
    Instruction decoded = new Instruction();
    boolean known = Decoder.decode(code, 0, code.length, cpu.codeBits, decoded) == Decoder.OK;
    tell(
        Trace.Kind.INSTRUCTIONS,
        "0x%x %s (%s)",
        linear,
        known ? Disassembler.format(decoded, getLong(cpu.ripAt)) : "(bad)",
        HexFormat.of().formatHex(code, 0, known ? decoded.length : code.length));
  }

  /** An exception, or an interrupt from outside, is about to be delivered. */
  void event(int vector, int errorCode, boolean exception, boolean hasCode) {
    if (!exception) {
      interrupt(vector, vector == GuestFault.NMI ? "NMI" : "external");
    } else if (trace.wants(Trace.Kind.EXCEPTIONS, vector)) {
      String name = vector < EXCEPTIONS.length ? EXCEPTIONS[vector] : "";
      String code = hasCode ? String.format(Locale.ROOT, " error 0x%x", errorCode) : "";
      String address =
          vector == GuestFault.PF
              ? String.format(Locale.ROOT, " address 0x%x", getLong(cpu.state + CpuState.CR2))
              : "";
      tell(Trace.Kind.EXCEPTIONS, "%d %s%s%s at 0x%x", vector, name, code, address, linearRip());
    }
  }

  /** INT n, or a kin of it, with RIP behind it. */
  void software(int vector) {
    interrupt(vector, "software");
  }

  private void interrupt(int vector, String source) {
    if (trace.wants(Trace.Kind.INTERRUPTS, vector)) {
      tell(Trace.Kind.INTERRUPTS, "0x%x %s at 0x%x", vector, source, linearRip());
    }
  }

  /** RDMSR. */
  long readMsr(int index) {
    long value = 0;
    String result = "refused";
    try {
      value = ModelSpecificRegisters.read(cpu, index);
      result = String.format(Locale.ROOT, "value 0x%x", value);
      return value;
    } finally {
      msr("read", index, result);
    }
  }

  /** WRMSR. */
  void writeMsr(int index, long value) {
    String result = "refused";
    try {
      ModelSpecificRegisters.write(cpu, index, value);
      result = "taken";
    } finally {
      msr("write", index, String.format(Locale.ROOT, "value 0x%x %s", value, result));
    }
  }

  private void msr(String access, int index, String what) {
    if (trace.wants(Trace.Kind.MSRS, index & 0xffff_ffffL)) {
      tell(Trace.Kind.MSRS, "%s 0x%x %s", access, index, what);
    }
  }
}
