package dev.bothy.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class ShareTest {
  private static final String INTERPRET = "dev.bothy.x86.interpret.";

  /** A stack inside the processor's loop, the innermost frame first. */
  private static Share share(String... frames) {
    List<String> stack = new ArrayList<>(List.of(frames));
    stack.add(INTERPRET + "Processor.runBlocks");
    stack.add(INTERPRET + "Processor.run");
    stack.add("dev.bothy.machine.VcpuThread.work");
    return Share.of(stack);
  }

  @Test
  void knowsGeneratedCodeByItsEntry() {
    assertEquals(
        Share.GENERATED,
        share(
            "java.lang.invoke.LambdaForm$MH.0x000000002d220800.invoke",
            INTERPRET + "TranslatedExecution.enter",
            INTERPRET + "TranslatedExecution.run"));
    assertEquals(
        Share.GENERATED,
        share(INTERPRET + "TranslatedExecution.enter", INTERPRET + "TranslatedExecution.run"));
  }

  @Test
  void knowsTheInterpreter() {
    assertEquals(Share.INTERPRETER, share());
    assertEquals(
        Share.INTERPRETER,
        share(
            "dev.bothy.host.RawMemory.getLong",
            INTERPRET + "PagingCpu.load64",
            INTERPRET + "MoveNodes$Load.run"));
    assertEquals(
        Share.INTERPRETER,
        share(INTERPRET + "MoveNodes$Load.run", INTERPRET + "Processor.runPart"));
    assertEquals(
        Share.DECODING,
        share(
            "dev.bothy.x86.decode.Decoder.decode",
            INTERPRET + "BlockBuilder.build",
            INTERPRET + "CodeCache.find",
            INTERPRET + "Processor.lookUp"));
  }

  @Test
  void knowsTheTranslatorWhereverItIsCalledFrom() {
    for (String caller : List.of("TranslatedExecution.run", "TranslatedExecution.translationOf")) {
      assertEquals(
          Share.TRANSLATING,
          share(
              "java.util.Arrays.fill",
              "dev.bothy.assemble.Assembler.operand",
              "dev.bothy.x86.translate.Translator.translate",
              INTERPRET + caller));
    }
  }

  @Test
  void knowsWhatGeneratedCodeWasLeftFor() {
    assertEquals(
        Share.SERVING,
        share(
            INTERPRET + "PageWalker.find",
            INTERPRET + "PagingCpu.fill",
            INTERPRET + "TranslatedExecution.run"));
    assertEquals(
        Share.SERVING,
        share(
            INTERPRET + "CodeCache.find",
            INTERPRET + "Processor.lookUp",
            INTERPRET + "Processor.lookUpNext",
            INTERPRET + "TranslatedExecution.run"));
    assertEquals(Share.SERVING, share(INTERPRET + "TranslatedExecution.run"));
  }

  @Test
  void knowsDevices() {
    assertEquals(
        Share.DEVICES,
        share(
            "java.util.concurrent.locks.ReentrantLock.lock",
            "dev.bothy.device.serial.Uart.write",
            "dev.bothy.core.AddressSpace.write",
            INTERPRET + "SystemOps.execute"));
  }

  @Test
  void knowsTheRest() {
    assertEquals(
        Share.OTHER, share(INTERPRET + "EventDelivery.interrupt", INTERPRET + "Processor.attend"));
    assertEquals(Share.OTHER, Share.of(List.of("dev.bothy.machine.VcpuThread.work")));
    assertEquals(Share.OTHER, Share.of(List.of()));
    assertEquals(Share.OTHER, Share.of(List.of("java.lang.Thread.run")));
  }
}
