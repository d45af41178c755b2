"""This project's own shaders: what a parser in 8 bits has of its own on a GPU, for any GPU with Vulkan 1.3.

Many GPUs store no 8 bits, and the compiler's code for those that do is silently wrong; so the compiler had to get
weights as float32, four bytes a weight. Here four weights lie in each int32 (eight of 4 bits), in the module as in the
memory of the GPU, and are taken apart in registers by the shader that multiplies. Products and sums are whole numbers
in float32, in parts of which no sum reaches 2^24, so they are the integers of PyTorch, to the last bit.

- `packing`: the order of the weights.
- `product`: activations times weights, with offsets and, where wanted, scales and biases.
- `matmul`: sums of the features of n-grams, for which the compiler's own code is four times as long.
- `recurrence`: gates and states of a QRNN layer, a thread for each channel. Compiled operation by operation they are
  some 30 launches a layer, which a GPU waits for one after another.
- `shader`: a shader as the compiler takes it. Nothing in a shader depends on the number of lanes in a subgroup, nor on
  a feature that Vulkan 1.3 does not have everywhere.
- `operators`: both as PyTorch operators, by which a traced parser calls them.
- `modules`: the parts of a folded parser that call them.

Steps and names are otherwise those of `compile.kernels`; the words and the heads are the compiler's own code.
"""
