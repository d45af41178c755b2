/* The weights, as they are in weights.bin, in read-only memory. */
#ifdef __ELF__
  .section .rodata.pqrnn_weights,"a",%progbits
  .balign 64
  .global pqrnn_weights
pqrnn_weights:
  .incbin "weights.bin"
  .balign 4
  .section .note.GNU-stack,"",%progbits
#else
#error "weights.S knows ELF only"
#endif
