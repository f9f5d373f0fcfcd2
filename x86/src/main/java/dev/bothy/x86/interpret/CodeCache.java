package dev.bothy.x86.interpret;

import dev.bothy.core.GuestMemory;
import dev.bothy.x86.translate.TranslatedBlock;
import java.util.ArrayList;

/**
 * The decoded blocks of one vCPU, by guest-physical address and mode, with a cache by linear
 * address in front. An entry of that cache is used only while the TLB still maps the page it was
 * found on.
 */
final class CodeCache {
  private static final int JUMPS = 8192;
  private static final int BUCKETS = 128;

  /** Instructions kept before all are dropped: bounds the heap whatever the guest does. */
  private final int mostInstructions;

  private final Processor cpu;
  private final int index;
  private final GuestMemory memory;
  private final CodeMap map;
  private final BlockBuilder builder;
  private final long[] jumpRips = new long[JUMPS];
  private final Block[] jumpBlocks = new Block[JUMPS];

  /** Two levels: 1024 pages a chunk, by RAM offset. */
  private final Page[][] pages;

  private int instructions;
  long built;
  long dropped;
  long wiped;
  long lookups;

  /** The blocks that start on one page, and those that reach into it from the page before. */
  private static final class Page {
    final Block[] buckets = new Block[BUCKETS];
    final ArrayList<Block> reachingIn = new ArrayList<>(0);
    int blocks;
  }

  CodeCache(Processor cpu, int index, GuestMemory memory, CodeMap map, int mostInstructions) {
    this.mostInstructions = mostInstructions;
    this.cpu = cpu;
    this.index = index % CodeMap.TRANSLATIONS;
    this.memory = memory;
    this.map = map;
    builder = new BlockBuilder(cpu);
    pages = new Page[(int) (memory.size() + (1 << 22) - 1 >>> 22)][];
  }

  private static int jumpSlot(long rip) {
    return (int) (rip ^ rip >>> 13) & JUMPS - 1;
  }

  /**
   * The block at the processor's RIP, built if need be. Raises what fetching its first instruction
   * raises.
   */
  Block find(long rip, long linear, int mode) {
    int slot = jumpSlot(rip);
    long physical = cpu.translate(linear, PagingCpu.FETCH);
    Block block = jumpBlocks[slot];
    if (block != null
        && jumpRips[slot] == rip
        && block.physical == physical
        && block.mode == mode
        && block.valid
        && block.secondPage < 0) {
      return block;
    }
    return findSlow(slot, rip, linear, physical, mode);
  }

  private Block findSlow(int slot, long rip, long linear, long physical, int mode) {
    lookups++;
    Page page = pageOf(physical);
    long second = -1;
    Block block = page == null ? null : page.buckets[bucket(physical)];
    for (; block != null; block = block.nextInBucket) {
      if (block.physical == physical && block.mode == mode && block.valid) {
        if (block.secondPage < 0) {
          break;
        }
        second = cpu.translate((linear & ~0xfffL) + 0x1000, PagingCpu.FETCH) & ~0xfffL;
        if (block.secondPage == second) {
          break;
        }
      }
    }
    if (block == null) {
      block = build(linear, physical, mode);
    }
    jumpRips[slot] = rip;
    jumpBlocks[slot] = block;
    return block;
  }

  private static int bucket(long physical) {
    // Blocks start some bytes apart: neighbours share no bucket.
    return (int) (physical ^ physical >>> 7) & BUCKETS - 1;
  }

  private Page pageOf(long physical) {
    long offset = memory.offsetOf(physical);
    if (offset < 0) {
      return null;
    }
    Page[] chunk = pages[(int) (offset >>> 22)];
    return chunk == null ? null : chunk[(int) (offset >>> 12) & 1023];
  }

  private Page makePage(long physical) {
    long offset = memory.offsetOf(physical);
    Page[] chunk = pages[(int) (offset >>> 22)];
    if (chunk == null) {
      chunk = pages[(int) (offset >>> 22)] = new Page[1024];
    }
    Page page = chunk[(int) (offset >>> 12) & 1023];
    if (page == null) {
      page = chunk[(int) (offset >>> 12) & 1023] = new Page();
      claim(physical & ~0xfffL);
    }
    return page;
  }

  /** A page gets its first code: from now on stores to it are seen, by every vCPU. */
  private void claim(long physical) {
    int bit = cpu.index % CodeMap.TRANSLATIONS;
    if (cpu.machine.cpus() == 1) {
      if (cpu.codeMap.mark(physical, bit)) {
        cpu.dropWritesTo(physical);
      }
    } else if (!cpu.codeMap.markToo(physical, bit)) {
      // Marked in the section only: who finds the mark may rely on no vCPU having a way around it.
      cpu.engine.exclusive.run(
          () -> {
            cpu.codeMap.mark(physical, bit);
            cpu.engine.dropWritesTo(physical);
          });
    }
  }

  private Block build(long linear, long physical, int mode) {
    if (instructions > mostInstructions) {
      clear();
    }
    boolean ram = cpu.hostOf(physical) != 0;
    if (ram) {
      // Before the bytes are read, so that no store to them passes unseen.
      makePage(physical);
      TranslatedBlock known = cpu.translated == null ? null : cpu.translated.known(physical);
      if (known != null) {
        return enter(Block.undecoded(physical, mode, known));
      }
    }
    Block block = builder.build(linear, physical, mode);
    built++;
    if (!ram || block.secondPage >= 0 && cpu.hostOf(block.secondPage) == 0) {
      // Not RAM: what is fetched may differ each time.
      block.valid = false;
      return block;
    }
    if (block.secondPage >= 0) {
      Page second = makePage(block.secondPage);
      // The second page may have been plain data until now: read the bytes again under its mark.
      block = builder.build(linear, physical, mode);
      second.reachingIn.add(block);
      second.blocks++;
    }
    return enter(block);
  }

  private Block enter(Block block) {
    Page page = makePage(block.physical);
    int bucket = bucket(block.physical);
    block.nextInBucket = page.buckets[bucket];
    page.buckets[bucket] = block;
    page.blocks++;
    instructions += block.count + 4;
    return block;
  }

  /** Machine code runs instead of {@code block}: its nodes may go, its place stays. */
  void strip(Block block) {
    if (block.body != null && block.valid) {
      instructions -= block.count;
      block.body = null;
      block.end = null;
    }
  }

  /**
   * Gives {@code block}, at linear address {@code linear}, its nodes.
   *
   * @return the block to be run: another one if its first instruction has come to go on on the next
   *     page, by a store that this vCPU has not heard of yet
   */
  Block restore(Block block, long linear) {
    Block fresh = builder.build(linear, block.physical, block.mode);
    if (fresh.secondPage != block.secondPage) {
      fresh.valid = false;
      return fresh;
    }
    block.become(fresh);
    instructions += block.count;
    return block;
  }

  /** Drops blocks that overlap {@code length} bytes at {@code physical}, all on one page. */
  void drop(long physical, long length) {
    Page page = pageOf(physical);
    if (page == null) {
      return;
    }
    long end = physical + length;
    for (Block first : page.buckets) {
      for (Block b = first; b != null; b = b.nextInBucket) {
        if (b.physical < end && b.physical + b.length > physical) {
          remove(b);
        }
      }
    }
    for (int i = page.reachingIn.size() - 1; i >= 0; i--) {
      // Removing one may take others with it only if both pages are the same one.
      if (i >= page.reachingIn.size()) {
        continue;
      }
      Block b = page.reachingIn.get(i);
      if (physical < b.secondPage + (b.physical + b.length & 0xfff)) {
        remove(b);
      }
    }
  }

  /**
   * Takes a block out of its page, and out of the page it reaches into; pages left without blocks
   * are no code pages.
   */
  private void remove(Block block) {
    Page page = pageOf(block.physical);
    int bucket = bucket(block.physical);
    Block before = null;
    for (Block b = page.buckets[bucket]; b != null; before = b, b = b.nextInBucket) {
      if (b == block) {
        if (before == null) {
          page.buckets[bucket] = b.nextInBucket;
        } else {
          before.nextInBucket = b.nextInBucket;
        }
        page.blocks--;
        instructions -= (block.body == null ? 0 : block.count) + 4;
        break;
      }
    }
    if (block.secondPage >= 0) {
      Page second = pageOf(block.secondPage);
      if (second != null && second.reachingIn.remove(block)) {
        second.blocks--;
        forgetIfEmpty(second, block.secondPage);
      }
    }
    forgetIfEmpty(page, block.physical);
    kill(block);
  }

  private void forgetIfEmpty(Page page, long physical) {
    if (page.blocks == 0 && pageOf(physical) == page) {
      long offset = memory.offsetOf(physical);
      pages[(int) (offset >>> 22)][(int) (offset >>> 12) & 1023] = null;
      map.unmark(physical, index);
    }
  }

  private void kill(Block block) {
    if (block.valid) {
      block.valid = false;
      dropped++;
    }
    cpu.blockDropped(block);
  }

  /** Drops everything. */
  void clear() {
    wiped++;
    java.util.Arrays.fill(jumpBlocks, null);
    for (int i = 0; i < pages.length; i++) {
      Page[] chunk = pages[i];
      if (chunk == null) {
        continue;
      }
      for (int j = 0; j < chunk.length; j++) {
        if (chunk[j] != null) {
          for (Block b : chunk[j].buckets) {
            for (; b != null; b = b.nextInBucket) {
              kill(b);
            }
          }
          long offset = ((long) i << 22) + ((long) j << 12);
          map.unmark(
              offset < GuestMemory.LOW_LIMIT
                  ? offset
                  : offset - GuestMemory.LOW_LIMIT + GuestMemory.HIGH_START,
              index);
        }
      }
      pages[i] = null;
    }
    instructions = 0;
  }
}
