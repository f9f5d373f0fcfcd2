/** An x86-64 assembler. */
module dev.bothy.assemble {
  exports dev.bothy.assemble;
}
