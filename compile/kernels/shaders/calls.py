"""Which shader an operator becomes, from the shapes of its tensors and its whole numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compile.kernels.shaders.matmul import matmul_shader
from compile.kernels.shaders.product import ProductSizes, product_shader
from compile.kernels.shaders.recurrence import recurrence_shader
from compile.kernels.shaders.shader import Shader

Shapes = Sequence[tuple[int, ...]]


def _product(name: str, reads: Shapes, numbers: Sequence[int]) -> Shader:
    (rows, depth), (columns, bits) = reads[0], numbers
    return product_shader(name, ProductSizes(rows, depth, columns, bits), scaled=False)


def _scaled(name: str, reads: Shapes, numbers: Sequence[int]) -> Shader:
    (rows, depth), (columns, bits) = reads[0], numbers
    return product_shader(name, ProductSizes(rows, depth, columns, bits), scaled=True)


def _matmul(name: str, reads: Shapes, numbers: Sequence[int]) -> Shader:
    (rows, depth), (_, columns) = reads
    return matmul_shader(name, rows, depth, columns)


def _recurrence(name: str, reads: Shapes, numbers: Sequence[int]) -> Shader:
    words, state, taps = numbers
    return recurrence_shader(name, reads[0][0] // words, words, state, taps)


SHADERS: dict[str, Callable[[str, Shapes, Sequence[int]], Shader]] = {
    "shader_product": _product,
    "shader_scaled": _scaled,
    "shader_matmul": _matmul,
    "shader_recurrence": _recurrence,
}
