"""A parser as a library of its own: text in, intent and slots out, nothing else to install.

The kernels come from the compiler as an object file (`compile.standalone`), the steps that call them as tables; the
search for the best parse is `runtime_py/c/decode.h`. `writing` puts these and `c/native.c` into one C file and one
header, `toolchains` finds a C compiler for a target, `building` makes the libraries, `web` and `jvm` what JavaScript
and Java call them with. `memory` says what they work in, `proof` lets them answer texts that PyTorch has answered,
`pipeline` goes from a checkpoint to a folder.
"""
