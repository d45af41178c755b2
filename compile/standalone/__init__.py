"""A compiled parser as plain C and object files, for boards without an IREE runtime: 32-bit ARM, RISC-V, Cortex-M.

`tracing` runs the compiler's host program and records as a `schedule` what the runtime would do; `writing` puts that
into C tables which a small player (`c/player.c`) walks through; `building` compiles the result with a C cross-compiler
and runs it, in an emulator where the machine is another.
"""
