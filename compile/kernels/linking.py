"""Linking: every operator in an imported module becomes the call of a kernel, and the module gets the kernel's code.

The operators are those of `compile.kernels.operators`, `compile.kernels.head_operators` and
`compile.kernels.encoder_operators`.

The code of a kernel is for one target, so the module itself says which, in the compiler's own words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from iree.compiler import ir
from numpy.typing import NDArray

from compile.kernels.attention import AttentionSizes, attention_kernel
from compile.kernels.families import InstructionFamily, Kernels
from compile.kernels.head import head_kernel
from compile.kernels.head_sizes import PRODUCTS, read_sizes
from compile.kernels.kernel import Kernel, write_executable
from compile.kernels.layer import layer_kernel
from compile.kernels.norm import norm_kernel
from compile.kernels.operators import F32_SUFFIX, NAMESPACE
from compile.kernels.product_kernels import gelu_kernel, product_kernel, rectified_kernel, scaled_kernel
from compile.kernels.projection import TextSizes, projection_kernel
from compile.kernels.shaders.calls import SHADERS
from compile.kernels.shaders.shader import write_shader
from compile.support.errors import ImportStageError
from pqrnn.recipes.settings import ProjectionConfig

_PREFIX = f"torch.{NAMESPACE}."
_DEVICE = re.compile(r"#hal\.device\.target<.*>(?= : |$)")
_EXECUTABLE = re.compile(r"#hal\.executable\.target<.*>(?=\]>)")
_TENSOR = re.compile(r"!torch\.vtensor<\[([\d,]*)\],([a-z0-9]+)>")


@dataclass(frozen=True, slots=True)
class TensorType:
    """A tensor's type in the imported module."""

    shape: tuple[int, ...]
    element: str

    @property
    def builtin(self) -> str:
        """The compiler's own type of the tensor; the importer writes si8 and ui8, the compiler has i8."""
        return f"tensor<{'x'.join([*map(str, self.shape), self.element.lstrip('su')])}>"

    @property
    def bits(self) -> int:
        """Number of bits of packed weights of integers (`compile.kernels.packing.pack_weights`)."""
        return 4 if self.element == "ui8" else 8


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of an operator: its tensors, and its whole numbers in order."""

    kernels: Kernels
    name: str
    float32: bool
    reads: list[TensorType]
    writes: list[TensorType]
    numbers: list[int]

    @property
    def family(self) -> InstructionFamily:
        """Instruction family of the operator's products."""
        family = self.kernels.family
        if family is None or family.float32 != self.float32:
            raise ImportStageError(f"{self.name}: {self.kernels.name} has no such products")
        return family

    @property
    def form(self) -> InstructionFamily:
        """The family in the form for the operator's weights, which are its second tensor."""
        return self.family.in_bits(self.reads[1].bits)


def _integer(call: _Call) -> Kernel:
    rows, depth = call.reads[0].shape
    return product_kernel(call.name, call.form, rows, depth, *call.numbers)


def _scaled(call: _Call) -> Kernel:
    rows, depth = call.reads[0].shape
    return scaled_kernel(call.name, call.form, rows, depth, *call.numbers)


def _rectified(call: _Call) -> Kernel:
    (rows, depth), (texts,) = call.reads[0].shape, call.reads[-1].shape
    return rectified_kernel(call.name, call.form, texts, rows // texts, depth, *call.numbers)


def _layer(call: _Call) -> Kernel:
    rows, depth = call.reads[0].shape
    words, state, taps = call.numbers
    return layer_kernel(call.name, call.form, rows // words, words, depth, state, taps)


def _head(call: _Call) -> Kernel:
    # The packed weights follow the outputs of the last layer, in one type or two, mask and counts.
    first = 3 if call.float32 else 4
    weights = dict(zip(PRODUCTS, call.reads[first : first + len(PRODUCTS)], strict=True))
    intent = weights["intent"]
    sizes = read_sizes(call.reads[0].shape, intent.shape, call.family.in_bits(intent.bits), call.numbers)
    return head_kernel(call.name, call.family, sizes, {name: packed.bits for name, packed in weights.items()})


def _projection(call: _Call) -> Kernel:
    (texts, quarters), *tables, _ = (read.shape for read in call.reads)
    version, words, word_features, ngram_features, *ngrams, lanes, float32, rest = call.numbers
    config = ProjectionConfig(
        word_features=word_features, ngram_features=ngram_features, ngrams=tuple(ngrams), version=version
    )
    return projection_kernel(
        call.name,
        lanes,
        TextSizes(texts, 4 * quarters, words, config, bool(float32), bool(rest)),
        [size for (size,) in tables],
    )


def _counted(call: _Call) -> Kernel:
    (rows, depth), (texts,) = call.reads[0].shape, call.reads[-1].shape
    (columns,) = call.numbers
    return scaled_kernel(call.name, call.form, rows, depth, columns, texts)


def _attention(call: _Call) -> Kernel:
    (rows, related), (texts,) = call.reads[0].shape, call.reads[-1].shape
    (heads,) = call.numbers
    sizes = AttentionSizes(texts, rows // texts, heads, related // (3 * heads))
    return attention_kernel(call.name, call.family, sizes, watched=len(call.writes) > 1)


def _gelu(call: _Call) -> Kernel:
    (rows, depth), (texts,) = call.reads[0].shape, call.reads[-1].shape
    return gelu_kernel(call.name, call.form, texts, rows // texts, depth, *call.numbers)


def _norm(call: _Call) -> Kernel:
    (rows, width), (texts,) = call.reads[0].shape, call.reads[-1].shape
    return norm_kernel(call.name, call.family, texts, rows // texts, width, rounds=len(call.writes) > 1)


_MAKERS: dict[str, Callable[[_Call], Kernel]] = {
    "attention": _attention,
    "counted_product": _counted,
    "gelu_product": _gelu,
    "watched_attention": _attention,
    "norm": _norm,
    "rounded_norm": _norm,
    "integer_product": _integer,
    "scaled_product": _scaled,
    "rectified": _rectified,
    "layer": _layer,
    "head": _head,
    "projection": _projection,
    f"product{F32_SUFFIX}": _scaled,
    f"rectified{F32_SUFFIX}": _rectified,
    f"layer{F32_SUFFIX}": _layer,
    f"head{F32_SUFFIX}": _head,
}


def link_kernels(source: Path, destination: Path, kernels: Kernels, resolved: str) -> Path:
    """Put kernels into an imported module.

    Args:
        source: The module with operators, bytecode or text.
        destination: The module to write, likewise.
        kernels: Kernels that the target gets.
        resolved: The compiler's description of the target (`compile.lowering.processor.Processor.resolved`).

    Returns:
        The destination.

    Raises:
        ImportStageError: The compiler's description of the target is not understood, or an operator is unknown.
    """
    device, target = read_target(resolved)
    with ir.Context() as context, ir.Location.unknown():
        context.allow_unregistered_dialects = False
        module = ir.Module.parse(source.read_bytes())
        linked: dict[str, str] = {}
        for operation in list(_operators(module.operation)):
            name, written = _replace(operation, kernels, target)
            linked[name] = written
        for text in linked.values():
            written_module = ir.Module.parse(text)
            for part in list(written_module.body.operations):
                part.detach_from_parent()
                module.body.append(part)
        module.operation.attributes["hal.device.targets"] = ir.Attribute.parse(f"[{device}]")
        module.operation.verify()
        with destination.open("wb") as file:
            if destination.suffix == ".mlirbc":
                module.operation.write_bytecode(file)
            else:
                module.operation.print(file=file, binary=True)
    return destination


def read_target(resolved: str) -> tuple[str, str]:
    """Return the compiler's description of the device, and within it that of the device's code.

    Raises:
        ImportStageError: The descriptions are not understood.
    """
    device = _DEVICE.search(resolved)
    target = _EXECUTABLE.search(device[0]) if device else None
    if device is None or target is None:
        raise ImportStageError(
            "the compiler's description of the target is not understood, so no kernel can be made for it", resolved
        )
    return device[0], target[0]


def write_module(
    kernels: Iterable[Kernel], resolved: str, constants: Mapping[str, Mapping[str, NDArray[np.generic]]] | None = None
) -> str:
    """Return a module of kernels alone, each a function `run_<name>` on tensors: for tests and measurements.

    Args:
        kernels: The kernels.
        resolved: As in `link_kernels`.
        constants: Values of buffers that are constants of the module instead of arguments, by kernel and buffer.

    Raises:
        ImportStageError: As in `link_kernels`.
    """
    device, target = read_target(resolved)
    parts = []
    for kernel in kernels:
        known = (constants or {}).get(kernel.name, {})
        fixed = "\n  ".join(
            f'{buffer.name} = arith.constant dense<"0x{known[buffer.name].tobytes().hex()}"> : {buffer.tensor}'
            for buffer in kernel.reads
            if buffer.name in known
        )
        arguments = ", ".join(f"{buffer.name}: {buffer.tensor}" for buffer in kernel.reads if buffer.name not in known)
        names, kinds = (
            ", ".join(parts) for parts in zip(*((buffer.name, buffer.tensor) for buffer in kernel.reads), strict=True)
        )
        results = ", ".join(buffer.tensor for buffer in kernel.writes)
        returned = ", ".join(f"%r#{number}" for number in range(len(kernel.writes)))
        parts.append(write_executable(kernel, target))
        parts.append(f"""util.func public @run_{kernel.name}({arguments}) -> ({results}) {{
  {fixed}
  %r:{len(kernel.writes)} = util.call @{kernel.name}({names}) : ({kinds}) -> ({results})
  util.return {returned} : {results}
}}""")
    return f"module @kernels attributes {{hal.device.targets = [{device}]}} {{\n{chr(10).join(parts)}\n}}\n"


def _operators(operation: ir.Operation) -> Iterator[ir.Operation]:
    """Yield the operators that stand for kernels."""
    for region in operation.regions:
        for block in region.blocks:
            for view in block.operations:
                inner = view.operation
                if inner.name == "torch.operator" and ir.StringAttr(inner.attributes["name"]).value.startswith(_PREFIX):
                    yield inner
                yield from _operators(inner)


def _replace(operation: ir.Operation, kernels: Kernels, target: str) -> tuple[str, str]:
    """Replace an operator by the call of a kernel, and return the kernel's name and code."""
    name = ir.StringAttr(operation.attributes["name"]).value.removeprefix(_PREFIX)
    operands = [(value, tensor) for value in operation.operands if (tensor := _tensor(str(value.type)))]
    results = [tensor for value in operation.results if (tensor := _tensor(str(value.type)))]
    makers = SHADERS if kernels.shaders else _MAKERS
    if name not in makers or len(results) != len(operation.results):
        raise ImportStageError(f"{_PREFIX}{name}: there is no kernel for this operator")
    reads = [tensor for _, tensor in operands]
    numbers = [number for value in operation.operands for number in _numbers(value)]
    shapes = "_".join("x".join(map(str, tensor.shape)) for tensor in (reads[0], reads[-1], *results))
    # The same name is the same kernel: every size that a kernel depends on is in it.
    packed = [f"b{number}" for number, tensor in enumerate(reads) if tensor.bits == 4]
    unique = "_".join([name, shapes, *map(str, numbers), *packed])
    if kernels.shaders:
        shapes_read = [tensor.shape for tensor in reads]
        written = write_shader(SHADERS[name](unique, shapes_read, numbers), target)
    else:
        call = _Call(kernels, unique, name.endswith(F32_SUFFIX), reads, results, numbers)
        written = write_executable(_MAKERS[name](call), target)
    with ir.InsertionPoint(operation), operation.location:
        given = [_create("torch_c.to_builtin_tensor", [tensor.builtin], [value])[0] for value, tensor in operands]
        called = ir.Operation.create(
            "util.call",
            results=[ir.Type.parse(tensor.builtin) for tensor in results],
            operands=given,
            attributes={"callee": ir.FlatSymbolRefAttr.get(unique)},
        )
        for old, new in zip(operation.results, called.results, strict=True):
            old.replace_all_uses_with(_create("torch_c.from_builtin_tensor", [str(old.type)], [new])[0])
    operation.erase()
    return unique, written


def _numbers(value: ir.Value) -> Iterator[int]:
    """Yield the whole numbers that an operand stands for."""
    if str(value.type) == "!torch.int":
        yield ir.IntegerAttr(value.owner.attributes["value"]).value
    elif str(value.type) == "!torch.list<int>":
        for element in value.owner.operands:
            yield from _numbers(element)


def _create(name: str, results: list[str], operands: list[ir.Value]) -> list[ir.Value]:
    return list(ir.Operation.create(name, results=[ir.Type.parse(kind) for kind in results], operands=operands).results)


def _tensor(kind: str) -> TensorType | None:
    match = _TENSOR.fullmatch(kind)
    return TensorType(tuple(int(size) for size in match[1].split(",") if size), match[2]) if match else None
