"""This project's own kernels, written as MLIR by Python and compiled by `iree-compile` with no other tool.

What they are for. Compiled operation by operation a parser in int8 is some 170 launches of code, of which the
projection of words has 77, and the compiler's own product of int8 matrices widens to 16 bits. With kernels it is five
launches: words and their features, the bottleneck, each QRNN layer, and all heads. A parser in float32 has the same
five. The compiler's own products of float32 are near what a core can do, but for 16 rows, or 8, at a time: a text of 9
words pays for 16. Kernels multiply the rows of words only, and read each weight from distant memory once: 0.6 of the
time (AVX-512), 0.66 (AVX2).

Encoders in 8 bits (`encoder_layers`) are seven launches a layer: queries, keys and values; attention, whose scores
never leave the first cache; its mixing; a norm; the inner product with GELU behind it; the outer one; and a norm. Each
rounds as the next product wants it, and none computes padding, so that a window takes the time of its subwords.

Weights of 4 bits lie two in a byte, in the module as in memory, and are taken apart in registers: half the bytes, and
where there is no dot product of 8 bits fewer instructions, too. The integers are those of PyTorch, in every family
(`families`). The layers of a parser may have different numbers of bits. Without a family weights are int8 as before.

How a kernel gets into a package; each step can be run and tested by itself:

1. `families`: which kernels a target gets follows from the features that it declares, never from the machine that
   compiles.
2. `modules`: the parts of a folded parser are replaced by ones whose weights are packed (`packing`) and that call
   operators (`operators`, `head_operators`, `encoder_operators`). An operator is defined in PyTorch, so that the parser
   with kernels runs there, too, and answers as the parser without them. Integer products are equal to the last bit;
   float32 differs by roundings.
3. `compile.lowering.export`, `compile.lowering.import_mlir`: as for every parser. The importer leaves an operator as
   `torch.operator "torch.pqrnn.<name>"`.
4. `linking`: each of these becomes the call of a function, and the module gets the function's code for one target
   (`projection`, `product_kernels`, `layer`, `head`, `attention`, `norm`). The module then names its target itself, to
   the letter, as the compiler describes it: code for another description would lie in another library, and would not
   be found when it is run.
5. `compile.lowering.iree_compile`: as for every module. Packed weights are constants, once for all entries; nothing is
   packed when a package is loaded.

Kernels are written with `mlir_builder` (lines of MLIR), `arithmetic`, `memory`, `tiling` (how a product is cut up),
`microkernel`, `tile`, `narrow_tiles`, `chunk_tiles` and `relaxed_tiles` (its inner loop), `product` (a product inside a
kernel) and `kernel` (the code as the compiler takes it).

`pqrnn compile --no-kernels` leaves out steps 2 and 4. Targets without any of this (RISC-V, GPUs, 32-bit ARM
in float32) always do.
"""
