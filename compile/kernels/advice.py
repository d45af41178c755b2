"""What to expect of a target's kernels, and which precision to choose for it, in words."""

from __future__ import annotations

from compile.kernels.families import choose_kernels
from targets.schema import Target


def describe_kernels(target: Target, integers: bool, bits: int = 8) -> str:
    """Say in words what multiplies on a target, and what to expect of it.

    Args:
        target: The target.
        integers: Whether the parser multiplies integers (int8) instead of float32.
        bits: Number of bits of a weight of integers.
    """
    if target.vulkan is not None and integers:
        size = "eight weights" if bits == 4 else "four weights"
        return f"own shaders for products and layers, {size} an int32; the compiler's own code for words and heads"
    if target.family != "cpu":
        return "the compiler's own code" + (", a byte a weight" if integers else "")
    if target.cpu == "host":
        return "own kernels if this machine has the instructions: `pqrnn doctor` says what it has"
    kernels = choose_kernels(target.triple, target.features, integers)
    if kernels is None or kernels.family is None:
        size = ", a byte a weight" if integers and bits == 4 else ""
        return f"the compiler's own code, operation by operation: some 170 launches a text{size}"
    family = kernels.family
    size = ", two weights a byte" if integers and bits == 4 else ""
    fused = "" if family.fused or integers else ", without a fused multiply-add"
    products = f"{family.products_with(bits):.3g} products an instruction"
    return f"own kernels ({family.name}): 5 launches a text, {products}{size}{fused}"


def advise_precision(target: Target) -> str:
    """Say which precision to choose for a target."""
    if target.vulkan is not None:
        return "int8: a quarter of the bytes; weights of 4 bits: half of those bytes again"
    if target.family != "cpu":
        return "int8: a quarter of the bytes"
    both = [choose_kernels(target.triple, target.features, integers) for integers in (True, False)]
    int8, float32 = (kernels.family if kernels is not None else None for kernels in both)
    if int8 is None or float32 is None:
        return "int8: a quarter of the bytes"
    gain, again = int8.products / float32.products, int8.products_with(4) / int8.products
    said = f"int8: a quarter of the bytes, and {gain:.2g} times as many products an instruction"
    faster = f", {again:.2g} times the products" if again > 1 else ""
    return f"{said}; weights of 4 bits: half of those bytes again{faster}"
