"""A compiled parser as plain C and object files, for boards that have no IREE runtime:

32-bit ARM, RISC-V, microcontrollers.

`tracing` reads from the compiler what the runtime would do and writes it down as a `schedule`; `writing` puts that into
C tables which a small player (`c/player.c`) walks through; `building` compiles the result with a C cross-compiler and
runs it, in an emulator where the machine is another.
"""
