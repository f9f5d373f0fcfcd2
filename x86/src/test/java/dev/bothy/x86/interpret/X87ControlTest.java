package dev.bothy.x86.interpret;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Decoder;
import dev.bothy.x86.decode.Instruction;
import java.util.HexFormat;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Environments in the formats that a 64-bit host cannot show, and waiting. */
final class X87ControlTest {
  private final FlatCpu cpu = new FlatCpu();

  @BeforeEach
  void fillPointers() {
    CpuState state = cpu.cpuState();
    X87Control.initialize(cpu);
    X87Stack.load(cpu, 0x37f, 0x3800);
    X87Stack.fill(cpu, 7, 1L << 63, 0x3fff);
    state.set(CpuState.X87_IP, 0x45);
    state.setInt32(CpuState.X87_CS, 0x1230);
    state.set(CpuState.X87_DP, 0x789a);
    state.setInt32(CpuState.X87_DS, 0x6000);
    state.setInt32(CpuState.X87_OPCODE, 0x5cd);
    state.setGpr(CpuState.RDI, FlatCpu.PAGE);
  }

  @AfterEach
  void close() {
    cpu.close();
  }

  private void run(String code, int operandSize) {
    byte[] bytes = HexFormat.of().parseHex(code);
    Instruction i = new Instruction();
    assertEquals(Decoder.OK, Decoder.decode(bytes, 0, bytes.length, 64, i));
    i.operandSize = operandSize;
    X87Ops.execute(cpu, i);
  }

  private String memory(int size) {
    StringBuilder text = new StringBuilder();
    for (int n = 0; n < size; n += 2) {
      text.append(String.format("%04x ", cpu.load16(FlatCpu.PAGE + n)));
    }
    return text.toString().trim();
  }

  @Test
  void storesTheEnvironmentOfRealModeAsLinearAddresses() {
    cpu.setUsesDescriptors(false);
    run("d937", 2);
    assertEquals("037f 3800 3fff 2345 15cd 789a 6000", memory(14));
    X87Stack.load(cpu, 0x37f, 0x3800);
    run("d937", 4);
    assertEquals(
        "037f ffff 3800 ffff 3fff ffff 2345 ffff 15cd 0000 789a ffff 6000 0000", memory(28));
  }

  @Test
  void storesTheEnvironmentOfProtectedModeWithSelectors() {
    run("d937", 2);
    assertEquals("037f 3800 3fff 0045 1230 789a 6000", memory(14));
  }

  @Test
  void loadsTheEnvironmentThatItStored() {
    cpu.setUsesDescriptors(false);
    for (int size : new int[] {2, 4}) {
      fillPointers();
      run("d937", size);
      X87Control.initialize(cpu);
      run("d927", size);
      CpuState state = cpu.cpuState();
      assertEquals(0x12345, state.get(CpuState.X87_IP));
      assertEquals(0x6789a, state.get(CpuState.X87_DP));
      assertEquals(0x5cd, state.getInt32(CpuState.X87_OPCODE));
      assertEquals(0x80, state.getInt32(CpuState.X87_TAGS));
      assertEquals(0x3800, X87Stack.status(cpu));
    }
  }

  @Test
  void anUnmaskedExceptionIsRaisedByTheNextWaitingInstruction() {
    X87Stack.load(cpu, 0x37b, 0x3800);
    run("d9ee", 4);
    run("d8f9", 4);
    assertEquals(0x80, X87Stack.status(cpu) & 0x80, "1/0 leaves the exception pending");
    run("dfe0", 4);
    assertThrows(GuestFault.class, () -> run("9b", 4));
    assertEquals(GuestFault.MF, cpu.fault.vector);
    assertThrows(GuestFault.class, () -> run("d9e8", 4));
    run("dbe2", 4);
    run("9b", 4);
  }
}
