package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;

/**
 * Conditional jumps in 64-bit code, a class for each condition. Both ways remember the block they
 * lead to while that lies on the same page as this one: then it is the same code as long as it is
 * valid, whatever the page is mapped at.
 */
abstract class ConditionalEnd extends End {
  private final long takenBy;
  private final long skippedBy;
  private final boolean takenNear;
  private final boolean skippedNear;
  private Block taken;
  private Block skipped;
  private boolean linkTaken;

  /**
   * RIP moves by {@code takenBy} or {@code skippedBy} bytes from the block's start; near ones stay
   * on the page.
   */
  ConditionalEnd(long takenBy, long skippedBy, boolean takenNear, boolean skippedNear) {
    this.takenBy = takenBy;
    this.skippedBy = skippedBy;
    this.takenNear = takenNear;
    this.skippedNear = skippedNear;
  }

  final Block take(Processor cpu) {
    putLong(cpu.ripAt, getLong(cpu.ripAt) + takenBy);
    Block next = taken;
    if (next != null && next.valid) {
      return next;
    }
    if (takenNear) {
      linkTaken = true;
      return cpu.wantLink(this);
    }
    return null;
  }

  final Block skip(Processor cpu) {
    putLong(cpu.ripAt, getLong(cpu.ripAt) + skippedBy);
    Block next = skipped;
    if (next != null && next.valid) {
      return next;
    }
    if (skippedNear) {
      linkTaken = false;
      return cpu.wantLink(this);
    }
    return null;
  }

  @Override
  final void link(Block target) {
    if (target.secondPage >= 0) {
      return;
    }
    if (linkTaken) {
      taken = target;
    } else {
      skipped = target;
    }
  }

  static ConditionalEnd of(
      int condition, long takenBy, long skippedBy, boolean takenNear, boolean skippedNear) {
    return switch (condition) {
      case 0 -> new O(takenBy, skippedBy, takenNear, skippedNear);
      case 1 -> new No(takenBy, skippedBy, takenNear, skippedNear);
      case 2 -> new B(takenBy, skippedBy, takenNear, skippedNear);
      case 3 -> new Ae(takenBy, skippedBy, takenNear, skippedNear);
      case 4 -> new E(takenBy, skippedBy, takenNear, skippedNear);
      case 5 -> new Ne(takenBy, skippedBy, takenNear, skippedNear);
      case 6 -> new Be(takenBy, skippedBy, takenNear, skippedNear);
      case 7 -> new A(takenBy, skippedBy, takenNear, skippedNear);
      case 8 -> new S(takenBy, skippedBy, takenNear, skippedNear);
      case 9 -> new Ns(takenBy, skippedBy, takenNear, skippedNear);
      case 10 -> new P(takenBy, skippedBy, takenNear, skippedNear);
      case 11 -> new Np(takenBy, skippedBy, takenNear, skippedNear);
      case 12 -> new L(takenBy, skippedBy, takenNear, skippedNear);
      case 13 -> new Ge(takenBy, skippedBy, takenNear, skippedNear);
      case 14 -> new Le(takenBy, skippedBy, takenNear, skippedNear);
      default -> new G(takenBy, skippedBy, takenNear, skippedNear);
    };
  }

  private static final class O extends ConditionalEnd {
    O(long takenBy, long skippedBy, boolean takenNear, boolean skippedNear) {
      super(takenBy, skippedBy, takenNear, skippedNear);
    }

    @Override
    Block run(Processor cpu) {
      return cpu.of() ? take(cpu) : skip(cpu);
    }
  }

  private static final class No extends ConditionalEnd {
    No(long takenBy, long skippedBy, boolean takenNear, boolean skippedNear) {
      super(takenBy, skippedBy, takenNear, skippedNear);
    }

    @Override
    Block run(Processor cpu) {
      return cpu.of() ? skip(cpu) : take(cpu);
    }
  }

  private static final class B extends ConditionalEnd {
    B(long takenBy, long skippedBy, boolean takenNear, boolean skippedNear) {
      super(takenBy, skippedBy, takenNear, skippedNear);
    }

    @Override
    Block run(Processor cpu) {
      return cpu.flagAux < 0 ? take(cpu) : skip(cpu);
    }
  }

  private static final class Ae extends ConditionalEnd {
    Ae(long takenBy, long skippedBy, boolean takenNear, boolean skippedNear) {
      super(takenBy, skippedBy, takenNear, skippedNear);
    }

    @Override
    Block run(Processor cpu) {
      return cpu.flagAux < 0 ? skip(cpu) : take(cpu);
    }
  }

  private static final class E extends ConditionalEnd {
    E(long takenBy, long skippedBy, boolean takenNear, boolean skippedNear) {
      super(takenBy, skippedBy, takenNear, skippedNear);
    }

    @Override
    Block run(Processor cpu) {
      return cpu.flagResult == 0 ? take(cpu) : skip(cpu);
    }
  }

  private static final class Ne extends ConditionalEnd {
    Ne(long takenBy, long skippedBy, boolean takenNear, boolean skippedNear) {
      super(takenBy, skippedBy, takenNear, skippedNear);
    }

    @Override
    Block run(Processor cpu) {
      return cpu.flagResult == 0 ? skip(cpu) : take(cpu);
    }
  }

  private static final class Be extends ConditionalEnd {
    Be(long takenBy, long skippedBy, boolean takenNear, boolean skippedNear) {
      super(takenBy, skippedBy, takenNear, skippedNear);
    }

    @Override
    Block run(Processor cpu) {
      return cpu.flagAux < 0 || cpu.flagResult == 0 ? take(cpu) : skip(cpu);
    }
  }

  private static final class A extends ConditionalEnd {
    A(long takenBy, long skippedBy, boolean takenNear, boolean skippedNear) {
      super(takenBy, skippedBy, takenNear, skippedNear);
    }

    @Override
    Block run(Processor cpu) {
      return cpu.flagAux < 0 || cpu.flagResult == 0 ? skip(cpu) : take(cpu);
    }
  }

  private static final class S extends ConditionalEnd {
    S(long takenBy, long skippedBy, boolean takenNear, boolean skippedNear) {
      super(takenBy, skippedBy, takenNear, skippedNear);
    }

    @Override
    Block run(Processor cpu) {
      return cpu.sf() ? take(cpu) : skip(cpu);
    }
  }

  private static final class Ns extends ConditionalEnd {
    Ns(long takenBy, long skippedBy, boolean takenNear, boolean skippedNear) {
      super(takenBy, skippedBy, takenNear, skippedNear);
    }

    @Override
    Block run(Processor cpu) {
      return cpu.sf() ? skip(cpu) : take(cpu);
    }
  }

  private static final class P extends ConditionalEnd {
    P(long takenBy, long skippedBy, boolean takenNear, boolean skippedNear) {
      super(takenBy, skippedBy, takenNear, skippedNear);
    }

    @Override
    Block run(Processor cpu) {
      return cpu.pf() ? take(cpu) : skip(cpu);
    }
  }

  private static final class Np extends ConditionalEnd {
    Np(long takenBy, long skippedBy, boolean takenNear, boolean skippedNear) {
      super(takenBy, skippedBy, takenNear, skippedNear);
    }

    @Override
    Block run(Processor cpu) {
      return cpu.pf() ? skip(cpu) : take(cpu);
    }
  }

  private static final class L extends ConditionalEnd {
    L(long takenBy, long skippedBy, boolean takenNear, boolean skippedNear) {
      super(takenBy, skippedBy, takenNear, skippedNear);
    }

    @Override
    Block run(Processor cpu) {
      return cpu.less() ? take(cpu) : skip(cpu);
    }
  }

  private static final class Ge extends ConditionalEnd {
    Ge(long takenBy, long skippedBy, boolean takenNear, boolean skippedNear) {
      super(takenBy, skippedBy, takenNear, skippedNear);
    }

    @Override
    Block run(Processor cpu) {
      return cpu.less() ? skip(cpu) : take(cpu);
    }
  }

  private static final class Le extends ConditionalEnd {
    Le(long takenBy, long skippedBy, boolean takenNear, boolean skippedNear) {
      super(takenBy, skippedBy, takenNear, skippedNear);
    }

    @Override
    Block run(Processor cpu) {
      return cpu.flagResult == 0 || cpu.less() ? take(cpu) : skip(cpu);
    }
  }

  private static final class G extends ConditionalEnd {
    G(long takenBy, long skippedBy, boolean takenNear, boolean skippedNear) {
      super(takenBy, skippedBy, takenNear, skippedNear);
    }

    @Override
    Block run(Processor cpu) {
      return cpu.flagResult == 0 || cpu.less() ? skip(cpu) : take(cpu);
    }
  }
}
