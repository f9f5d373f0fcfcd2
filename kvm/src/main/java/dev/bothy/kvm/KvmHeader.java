package dev.bothy.kvm;

/**
 * What this room uses of {@code linux/kvm.h} and {@code asm/kvm.h} on x86-64, under the header's
 * own names. A nested class is a structure ({@code KvmRegs} is {@code kvm_regs}), or a structure in
 * one; its constants are the offsets of members in bytes from the start of the outermost, and
 * {@code SIZE} is what {@code sizeof} says. Constants that begin with {@code KVM_} are the
 * header's. A test compares all of them with what a C compiler makes of the host's header.
 */
final class KvmHeader {
  private KvmHeader() {}

  /** The only version of the interface there ever was. */
  static final int KVM_API_VERSION = 12;

  private static final int KVMIO = 0xae;

  private static long io(int number) {
    return KVMIO << 8 | number;
  }

  private static long iow(int number, int size) {
    return 1L << 30 | (long) size << 16 | io(number);
  }

  private static long ior(int number, int size) {
    return 2L << 30 | (long) size << 16 | io(number);
  }

  private static long iowr(int number, int size) {
    return iow(number, size) | ior(number, size);
  }

  // Requests to /dev/kvm.
  static final long KVM_GET_API_VERSION = io(0x00);
  static final long KVM_CREATE_VM = io(0x01);
  static final long KVM_GET_MSR_INDEX_LIST = iowr(0x02, KvmMsrList.SIZE);
  static final long KVM_CHECK_EXTENSION = io(0x03);
  static final long KVM_GET_VCPU_MMAP_SIZE = io(0x04);
  static final long KVM_GET_SUPPORTED_CPUID = iowr(0x05, KvmCpuid2.SIZE);

  // Requests to a machine.
  static final long KVM_CREATE_VCPU = io(0x41);
  static final long KVM_GET_DIRTY_LOG = iow(0x42, KvmDirtyLog.SIZE);
  static final long KVM_SET_USER_MEMORY_REGION = iow(0x46, KvmUserspaceMemoryRegion.SIZE);
  static final long KVM_SET_TSS_ADDR = io(0x47);
  static final long KVM_SET_IDENTITY_MAP_ADDR = iow(0x48, 8);
  static final long KVM_CREATE_IRQCHIP = io(0x60);
  static final long KVM_GET_IRQCHIP = iowr(0x62, KvmIrqchip.SIZE);
  static final long KVM_SET_IRQCHIP = ior(0x63, KvmIrqchip.SIZE);
  static final long KVM_SET_GSI_ROUTING = iow(0x6a, KvmIrqRouting.SIZE);
  static final long KVM_IOEVENTFD = iow(0x79, KvmIoeventfd.SIZE);
  static final long KVM_SET_CLOCK = iow(0x7b, KvmClockData.SIZE);
  static final long KVM_GET_CLOCK = ior(0x7c, KvmClockData.SIZE);
  static final long KVM_GET_PIT2 = ior(0x9f, KvmPitState2.SIZE);
  static final long KVM_SET_PIT2 = iow(0xa0, KvmPitState2.SIZE);
  static final long KVM_ENABLE_CAP = iow(0xa3, KvmEnableCap.SIZE);
  static final long KVM_SIGNAL_MSI = iow(0xa5, KvmMsi.SIZE);
  static final long KVM_X86_SET_MSR_FILTER = iow(0xc6, KvmMsrFilter.SIZE);

  // Requests to a vCPU.
  static final long KVM_RUN = io(0x80);
  static final long KVM_GET_REGS = ior(0x81, KvmRegs.SIZE);
  static final long KVM_SET_REGS = iow(0x82, KvmRegs.SIZE);
  static final long KVM_GET_SREGS = ior(0x83, KvmSregs.SIZE);
  static final long KVM_SET_SREGS = iow(0x84, KvmSregs.SIZE);
  static final long KVM_TRANSLATE = iowr(0x85, KvmTranslation.SIZE);
  static final long KVM_INTERRUPT = iow(0x86, KvmInterrupt.SIZE);
  static final long KVM_GET_MSRS = iowr(0x88, KvmMsrs.SIZE);
  static final long KVM_SET_MSRS = iow(0x89, KvmMsrs.SIZE);
  static final long KVM_SET_SIGNAL_MASK = iow(0x8b, KvmSignalMask.SIZE);
  static final long KVM_GET_FPU = ior(0x8c, KvmFpu.SIZE);
  static final long KVM_SET_FPU = iow(0x8d, KvmFpu.SIZE);
  static final long KVM_GET_LAPIC = ior(0x8e, KvmLapicState.SIZE);
  static final long KVM_SET_LAPIC = iow(0x8f, KvmLapicState.SIZE);
  static final long KVM_SET_CPUID2 = iow(0x90, KvmCpuid2.SIZE);
  static final long KVM_GET_MP_STATE = ior(0x98, KvmMpState.SIZE);
  static final long KVM_SET_MP_STATE = iow(0x99, KvmMpState.SIZE);
  static final long KVM_NMI = io(0x9a);
  static final long KVM_SET_GUEST_DEBUG = iow(0x9b, KvmGuestDebug.SIZE);
  static final long KVM_GET_VCPU_EVENTS = ior(0x9f, KvmVcpuEvents.SIZE);
  static final long KVM_SET_VCPU_EVENTS = iow(0xa0, KvmVcpuEvents.SIZE);
  static final long KVM_GET_DEBUGREGS = ior(0xa1, KvmDebugregs.SIZE);
  static final long KVM_SET_DEBUGREGS = iow(0xa2, KvmDebugregs.SIZE);
  static final long KVM_SET_TSC_KHZ = io(0xa2);
  static final long KVM_GET_TSC_KHZ = io(0xa3);
  static final long KVM_GET_XSAVE = ior(0xa4, KvmXsave.SIZE);
  static final long KVM_SET_XSAVE = iow(0xa5, KvmXsave.SIZE);
  static final long KVM_GET_XCRS = ior(0xa6, KvmXcrs.SIZE);
  static final long KVM_SET_XCRS = iow(0xa7, KvmXcrs.SIZE);

  // Extensions.
  static final int KVM_CAP_IRQCHIP = 0;
  static final int KVM_CAP_USER_MEMORY = 3;
  static final int KVM_CAP_SET_TSS_ADDR = 4;
  static final int KVM_CAP_EXT_CPUID = 7;
  static final int KVM_CAP_NR_VCPUS = 9;
  static final int KVM_CAP_NR_MEMSLOTS = 10;
  static final int KVM_CAP_MP_STATE = 14;
  static final int KVM_CAP_SYNC_MMU = 16;
  static final int KVM_CAP_USER_NMI = 22;
  static final int KVM_CAP_SET_GUEST_DEBUG = 23;
  static final int KVM_CAP_IRQ_ROUTING = 25;
  static final int KVM_CAP_PIT2 = 33;
  static final int KVM_CAP_IOEVENTFD = 36;
  static final int KVM_CAP_SET_IDENTITY_MAP_ADDR = 37;
  static final int KVM_CAP_ADJUST_CLOCK = 39;
  static final int KVM_CAP_INTERNAL_ERROR_DATA = 40;
  static final int KVM_CAP_VCPU_EVENTS = 41;
  static final int KVM_CAP_DEBUGREGS = 50;
  static final int KVM_CAP_XSAVE = 55;
  static final int KVM_CAP_XCRS = 56;
  static final int KVM_CAP_TSC_CONTROL = 60;
  static final int KVM_CAP_GET_TSC_KHZ = 61;
  static final int KVM_CAP_MAX_VCPUS = 66;
  static final int KVM_CAP_TSC_DEADLINE_TIMER = 72;
  static final int KVM_CAP_SIGNAL_MSI = 77;
  static final int KVM_CAP_READONLY_MEM = 81;
  static final int KVM_CAP_SPLIT_IRQCHIP = 121;
  static final int KVM_CAP_IOEVENTFD_ANY_LENGTH = 122;
  static final int KVM_CAP_IMMEDIATE_EXIT = 136;
  static final int KVM_CAP_X86_USER_SPACE_MSR = 188;
  static final int KVM_CAP_X86_MSR_FILTER = 189;
  static final int KVM_CAP_SET_GUEST_DEBUG2 = 195;

  // Why KVM_RUN returned.
  static final int KVM_EXIT_UNKNOWN = 0;
  static final int KVM_EXIT_IO = 2;
  static final int KVM_EXIT_HYPERCALL = 3;
  static final int KVM_EXIT_DEBUG = 4;
  static final int KVM_EXIT_HLT = 5;
  static final int KVM_EXIT_MMIO = 6;
  static final int KVM_EXIT_IRQ_WINDOW_OPEN = 7;
  static final int KVM_EXIT_SHUTDOWN = 8;
  static final int KVM_EXIT_FAIL_ENTRY = 9;
  static final int KVM_EXIT_INTR = 10;
  static final int KVM_EXIT_SET_TPR = 11;
  static final int KVM_EXIT_INTERNAL_ERROR = 17;
  static final int KVM_EXIT_SYSTEM_EVENT = 24;
  static final int KVM_EXIT_IOAPIC_EOI = 26;
  static final int KVM_EXIT_X86_RDMSR = 29;
  static final int KVM_EXIT_X86_WRMSR = 30;

  static final int KVM_EXIT_IO_IN = 0;
  static final int KVM_EXIT_IO_OUT = 1;

  static final int KVM_INTERNAL_ERROR_EMULATION = 1;
  static final int KVM_INTERNAL_ERROR_SIMUL_EX = 2;
  static final int KVM_INTERNAL_ERROR_DELIVERY_EV = 3;
  static final int KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON = 4;
  static final int KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES = 1;

  static final int KVM_SYSTEM_EVENT_SHUTDOWN = 1;
  static final int KVM_SYSTEM_EVENT_RESET = 2;
  static final int KVM_SYSTEM_EVENT_CRASH = 3;

  static final int KVM_MSR_EXIT_REASON_INVAL = 1;
  static final int KVM_MSR_EXIT_REASON_UNKNOWN = 2;
  static final int KVM_MSR_EXIT_REASON_FILTER = 4;

  static final int KVM_MSR_FILTER_READ = 1;
  static final int KVM_MSR_FILTER_WRITE = 2;

  static final int KVM_MEM_LOG_DIRTY_PAGES = 1;
  static final int KVM_MEM_READONLY = 2;

  static final int KVM_IOEVENTFD_FLAG_DEASSIGN = 4;

  static final int KVM_GUESTDBG_ENABLE = 1;
  static final int KVM_GUESTDBG_SINGLESTEP = 2;
  static final int KVM_GUESTDBG_USE_HW_BP = 0x2_0000;
  static final int KVM_GUESTDBG_INJECT_DB = 0x4_0000;
  static final int KVM_GUESTDBG_BLOCKIRQ = 0x10_0000;

  static final int KVM_CPUID_FLAG_SIGNIFCANT_INDEX = 1;

  static final int KVM_VCPUEVENT_VALID_NMI_PENDING = 1;
  static final int KVM_VCPUEVENT_VALID_SHADOW = 4;
  static final int KVM_X86_SHADOW_INT_MOV_SS = 1;
  static final int KVM_X86_SHADOW_INT_STI = 2;

  static final int KVM_MP_STATE_RUNNABLE = 0;
  static final int KVM_MP_STATE_UNINITIALIZED = 1;
  static final int KVM_MP_STATE_INIT_RECEIVED = 2;
  static final int KVM_MP_STATE_HALTED = 3;
  static final int KVM_MP_STATE_SIPI_RECEIVED = 4;

  static final int KVM_IRQ_ROUTING_MSI = 2;

  /** General registers. */
  static final class KvmRegs {
    static final int RAX = 0;
    static final int RBX = 8;
    static final int RCX = 16;
    static final int RDX = 24;
    static final int RSI = 32;
    static final int RDI = 40;
    static final int RSP = 48;
    static final int RBP = 56;
    static final int R8 = 64;
    static final int R15 = 120;
    static final int RIP = 128;
    static final int RFLAGS = 136;
    static final int SIZE = 144;
  }

  static final class KvmSegment {
    static final int BASE = 0;
    static final int LIMIT = 8;
    static final int SELECTOR = 12;
    static final int TYPE = 14;
    static final int PRESENT = 15;
    static final int DPL = 16;
    static final int DB = 17;
    static final int S = 18;
    static final int L = 19;
    static final int G = 20;
    static final int AVL = 21;
    static final int UNUSABLE = 22;
    static final int SIZE = 24;
  }

  static final class KvmDtable {
    static final int BASE = 0;
    static final int LIMIT = 8;
    static final int SIZE = 16;
  }

  /** Segment and control registers. */
  static final class KvmSregs {
    static final int CS = 0;
    static final int DS = 24;
    static final int ES = 48;
    static final int FS = 72;
    static final int GS = 96;
    static final int SS = 120;
    static final int TR = 144;
    static final int LDT = 168;
    static final int GDT = 192;
    static final int IDT = 208;
    static final int CR0 = 224;
    static final int CR2 = 232;
    static final int CR3 = 240;
    static final int CR4 = 248;
    static final int CR8 = 256;
    static final int EFER = 264;
    static final int APIC_BASE = 272;
    static final int INTERRUPT_BITMAP = 280;
    static final int SIZE = 312;
  }

  static final class KvmFpu {
    static final int FPR = 0;
    static final int FCW = 128;
    static final int FSW = 130;
    static final int FTWX = 132;
    static final int LAST_OPCODE = 134;
    static final int LAST_IP = 136;
    static final int LAST_DP = 144;
    static final int XMM = 152;
    static final int MXCSR = 408;
    static final int SIZE = 416;
  }

  /** The registers as XSAVE would store them, in its standard format. */
  static final class KvmXsave {
    static final int REGION = 0;
    static final int SIZE = 4096;
  }

  static final class KvmXcr {
    static final int XCR = 0;
    static final int VALUE = 8;
    static final int SIZE = 16;
  }

  static final class KvmXcrs {
    static final int NR_XCRS = 0;
    static final int FLAGS = 4;
    static final int XCRS = 8;
    static final int SIZE = 392;
  }

  static final class KvmDebugregs {
    static final int DB = 0;
    static final int DR6 = 32;
    static final int DR7 = 40;
    static final int FLAGS = 48;
    static final int SIZE = 128;
  }

  static final class KvmMsrEntry {
    static final int INDEX = 0;
    static final int DATA = 8;
    static final int SIZE = 16;
  }

  static final class KvmMsrs {
    static final int NMSRS = 0;
    static final int ENTRIES = 8;
    static final int SIZE = 8;
  }

  static final class KvmMsrList {
    static final int NMSRS = 0;
    static final int INDICES = 4;
    static final int SIZE = 4;
  }

  static final class KvmMsrFilterRange {
    static final int FLAGS = 0;
    static final int NMSRS = 4;
    static final int BASE = 8;
    static final int BITMAP = 16;
    static final int SIZE = 24;
  }

  static final class KvmMsrFilter {
    static final int FLAGS = 0;
    static final int RANGES = 8;
    static final int SIZE = 392;
  }

  static final class KvmCpuidEntry2 {
    static final int FUNCTION = 0;
    static final int INDEX = 4;
    static final int FLAGS = 8;
    static final int EAX = 12;
    static final int EBX = 16;
    static final int ECX = 20;
    static final int EDX = 24;
    static final int SIZE = 40;
  }

  static final class KvmCpuid2 {
    static final int NENT = 0;
    static final int ENTRIES = 8;
    static final int SIZE = 8;
  }

  /** Events on their way into the guest. */
  static final class KvmVcpuEvents {
    static final class Exception {
      static final int INJECTED = 0;
      static final int NR = 1;
      static final int HAS_ERROR_CODE = 2;
      static final int PENDING = 3;
      static final int ERROR_CODE = 4;
    }

    static final class Interrupt {
      static final int INJECTED = 8;
      static final int NR = 9;
      static final int SOFT = 10;
      static final int SHADOW = 11;
    }

    static final class Nmi {
      static final int INJECTED = 12;
      static final int PENDING = 13;
      static final int MASKED = 14;
    }

    static final int FLAGS = 20;
    static final int SIZE = 64;
  }

  static final class KvmMpState {
    static final int MP_STATE = 0;
    static final int SIZE = 4;
  }

  static final class KvmLapicState {
    static final int REGS = 0;
    static final int SIZE = 1024;
  }

  static final class KvmMsi {
    static final int ADDRESS_LO = 0;
    static final int ADDRESS_HI = 4;
    static final int DATA = 8;
    static final int FLAGS = 12;
    static final int SIZE = 32;
  }

  static final class KvmIrqRouting {
    static final int NR = 0;
    static final int FLAGS = 4;
    static final int ENTRIES = 8;
    static final int SIZE = 8;
  }

  static final class KvmIrqRoutingEntry {
    static final int GSI = 0;
    static final int TYPE = 4;
    static final int FLAGS = 8;
    static final int U = 16;
    static final int SIZE = 48;
  }

  /** In {@link KvmIrqRoutingEntry#U}. */
  static final class KvmIrqRoutingMsi {
    static final int ADDRESS_LO = 0;
    static final int ADDRESS_HI = 4;
    static final int DATA = 8;
    static final int SIZE = 16;
  }

  static final class KvmIrqchip {
    static final int CHIP_ID = 0;
    static final int CHIP = 8;
    static final int SIZE = 520;
  }

  static final class KvmPitState2 {
    static final int CHANNELS = 0;
    static final int FLAGS = 72;
    static final int SIZE = 112;
  }

  static final class KvmClockData {
    static final int CLOCK = 0;
    static final int FLAGS = 8;
    static final int SIZE = 48;
  }

  static final class KvmUserspaceMemoryRegion {
    static final int SLOT = 0;
    static final int FLAGS = 4;
    static final int GUEST_PHYS_ADDR = 8;
    static final int MEMORY_SIZE = 16;
    static final int USERSPACE_ADDR = 24;
    static final int SIZE = 32;
  }

  static final class KvmDirtyLog {
    static final int SLOT = 0;
    static final int DIRTY_BITMAP = 8;
    static final int SIZE = 16;
  }

  static final class KvmEnableCap {
    static final int CAP = 0;
    static final int FLAGS = 4;
    static final int ARGS = 8;
    static final int SIZE = 104;
  }

  static final class KvmIoeventfd {
    static final int DATAMATCH = 0;
    static final int ADDR = 8;
    static final int LEN = 16;
    static final int FD = 20;
    static final int FLAGS = 24;
    static final int SIZE = 64;
  }

  static final class KvmGuestDebug {
    static final int CONTROL = 0;

    static final class Arch {
      static final int DEBUGREG = 8;
    }

    static final int SIZE = 72;
  }

  static final class KvmInterrupt {
    static final int IRQ = 0;
    static final int SIZE = 4;
  }

  static final class KvmSignalMask {
    static final int LEN = 0;
    static final int SIGSET = 4;
    static final int SIZE = 4;
  }

  static final class KvmTranslation {
    static final int LINEAR_ADDRESS = 0;
    static final int PHYSICAL_ADDRESS = 8;
    static final int VALID = 16;
    static final int SIZE = 24;
  }

  /** What a vCPU and its thread share. */
  static final class KvmRun {
    static final int REQUEST_INTERRUPT_WINDOW = 0;
    static final int IMMEDIATE_EXIT = 1;
    static final int EXIT_REASON = 8;
    static final int READY_FOR_INTERRUPT_INJECTION = 12;
    static final int IF_FLAG = 13;
    static final int CR8 = 16;
    static final int APIC_BASE = 24;

    static final class Hw {
      static final int HARDWARE_EXIT_REASON = 32;
    }

    static final class FailEntry {
      static final int HARDWARE_ENTRY_FAILURE_REASON = 32;
      static final int CPU = 40;
    }

    static final class Io {
      static final int DIRECTION = 32;
      static final int SIZE = 33;
      static final int PORT = 34;
      static final int COUNT = 36;
      static final int DATA_OFFSET = 40;
    }

    static final class Mmio {
      static final int PHYS_ADDR = 32;
      static final int DATA = 40;
      static final int LEN = 48;
      static final int IS_WRITE = 52;
    }

    static final class Eoi {
      static final int VECTOR = 32;
    }

    static final class Debug {
      static final class Arch {
        static final int EXCEPTION = 32;
        static final int PC = 40;
        static final int DR6 = 48;
        static final int DR7 = 56;
      }
    }

    static final class Hypercall {
      static final int NR = 32;
      static final int RET = 88;
    }

    static final class Internal {
      static final int SUBERROR = 32;
      static final int NDATA = 36;
      static final int DATA = 40;
    }

    static final class EmulationFailure {
      static final int FLAGS = 40;
      static final int INSN_SIZE = 48;
      static final int INSN_BYTES = 49;
    }

    static final class SystemEvent {
      static final int TYPE = 32;
      static final int NDATA = 36;
      static final int DATA = 40;
    }

    static final class Msr {
      static final int ERROR = 32;
      static final int REASON = 40;
      static final int INDEX = 44;
      static final int DATA = 48;
    }
  }
}
