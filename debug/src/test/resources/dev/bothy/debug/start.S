# A guest's way from the PVH entry to C in 64-bit mode, on the boot processor and on the others.

  .section .note.pvh, "a", @note
  .long 4, 4, 18
  .asciz "Xen"
  .long start32

  .macro long_mode target
  mov $0x220, %eax
  mov %eax, %cr4
  mov $level4, %eax
  mov %eax, %cr3
  mov $0xc0000080, %ecx
  rdmsr
  or $0x100, %eax
  wrmsr
  mov $0x80000011, %eax
  mov %eax, %cr0
  ljmp $8, $\target
  .endm

  .text
  .code32
start32:
  cld
  movl $level3 + 3, level4
  xor %ecx, %ecx
1:
  mov %ecx, %eax
  shl $12, %eax
  add $level2 + 3, %eax
  mov %eax, level3(, %ecx, 8)
  inc %ecx
  cmp $4, %ecx
  jne 1b
  xor %ecx, %ecx
2:
  mov %ecx, %eax
  shl $21, %eax
  or $0x83, %eax
  mov %eax, level2(, %ecx, 8)
  inc %ecx
  cmp $2048, %ecx
  jne 2b
  # The others start in low memory.
  mov $other16, %esi
  mov $0x8000, %edi
  mov $other16_end - other16, %ecx
  rep movsb
  lgdt table_register
  long_mode start64

  .code64
start64:
  mov $stack_end, %rsp
  xor %ebp, %ebp
  call main
3:
  hlt
  jmp 3b

  .code16
other16:
  cli
  xor %ax, %ax
  mov %ax, %ds
  lgdtl table_register_copy - other16 + 0x8000
  mov %cr0, %eax
  or $1, %al
  mov %eax, %cr0
  ljmpl $0x18, $other32
table_register_copy:
  .word 31
  .long table
other16_end:

  .code32
other32:
  mov $0x10, %eax
  mov %eax, %ds
  mov %eax, %ss
  long_mode other64

  .code64
other64:
  mov $other_stack_end, %rsp
  xor %ebp, %ebp
  call other_main

  .data
  .align 8
table:
  .quad 0
  .quad 0x00af9b000000ffff
  .quad 0x00cf93000000ffff
  .quad 0x00cf9b000000ffff
table_register:
  .word 31
  .long table

  .bss
  .align 4096
level4:
  .skip 4096
level3:
  .skip 4096
level2:
  .skip 4 * 4096
stack:
  .skip 4096
stack_end:
  .skip 4096
other_stack_end:
