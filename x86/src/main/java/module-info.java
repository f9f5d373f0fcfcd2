/**
 * The x86-64 processor: instruction table and decoder, arithmetic, paging, and the engines in
 * software: interpreter, translator, and both in lock-step.
 */
module dev.bothy.x86 {
  requires transitive dev.bothy.core;
  requires dev.bothy.assemble;

  exports dev.bothy.x86.decode;
  exports dev.bothy.x86.interpret;
  exports dev.bothy.x86.translate;
  exports dev.bothy.x86.verify;
}
