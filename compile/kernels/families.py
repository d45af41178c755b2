"""Instruction families: processors' instructions for products of int8 and float32, and how each wants its weights.

A family is chosen from the features that a target declares, never from the machine that compiles. A target without a
family keeps the compiler's own code.

The families of integers are exact. Those with a dot product of 8 bits are so for every pair of int8 numbers. Those
that multiply into 16 bits first (`narrow`) add two products there, 2 x 128 x 127 at most: weights of -128, which
quantization never makes, are refused when they are packed.

Every family of integers has a form for weights of 4 bits (`InstructionFamily.in_bits`), which lie two in a byte and are
taken apart in registers. Dot products of 8 bits take each as the upper half of a byte, which is 16 times the weight and
saves an instruction: sums are multiples of 16, exactly, and their scale is a sixteenth. Where products are added in 16
bits the weight itself is multiplied, and a whole chunk of products is added in 16 bits before 32 are needed. The dot
product of WebAssembly's relaxed SIMD takes one side in 7 bits without a sign (`compile.kernels.relaxed_tiles`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from targets.isa import architecture_of


@dataclass(frozen=True, slots=True)
class InstructionFamily:
    """One way to multiply.

    Attributes:
        name: Name of the family.
        architecture: Architecture, as `targets.isa` calls it.
        features: Features that a target has to declare.
        lanes: Number of columns in a block, which is the number of 32-bit numbers in a vector register.
        depth: Number of rows of the weights that one instruction reads.
        pair: Number of columns side by side in the weights before the next rows; `lanes` unless one instruction
            multiplies several rows of the left side.
        unsigned: Whether the left side is unsigned: 128 is added to it, and the weights' sums times 128 subtracted.
        registers: Number of vector registers.
        keeps: Whether every row of the left side keeps a register for several steps, instead of sharing one in turn.
        float32: Whether the family multiplies float32 instead of int8.
        products: Number of products an instruction of the inner loop, loads left out, to compare families by.
        narrow: Whether products of int8 are added in 16 bits before they are added in 32.
        relaxed: Whether one side is of 7 bits without a sign: weights of 4 bits, or a part of the left side.
        fused: Whether the processor multiplies and adds float32 in one instruction; else that would be a library call.
        bits: Number of bits of a weight of integers, 8 or 4.
        products_in_4: `products` for weights of 4 bits, where it is another number.
    """

    name: str
    architecture: str
    features: frozenset[str]
    lanes: int
    depth: int
    pair: int
    registers: int
    products: float
    unsigned: bool = False
    keeps: bool = False
    float32: bool = False
    narrow: bool = False
    relaxed: bool = False
    fused: bool = True
    bits: int = 8
    products_in_4: float | None = None

    @property
    def element(self) -> str:
        """Type of the numbers that are multiplied."""
        return "f32" if self.float32 else "i8"

    @property
    def total(self) -> str:
        """Type of the sums."""
        return "f32" if self.float32 else "i32"

    @property
    def least(self) -> int:
        """Least weight that the family multiplies."""
        if self.bits == 4:
            return -7
        return -127 if self.narrow else -128

    @property
    def most(self) -> int:
        """Largest weight that the family multiplies."""
        return 7 if self.bits == 4 else 127

    @property
    def factor(self) -> int:
        """What sums have to be divided by, because weights are multiplied as so many times what they are."""
        return 16 if self.bits == 4 and not (self.narrow or self.relaxed) else 1

    @property
    def raised(self) -> int:
        """What is added to weights where they are the side of the instruction that has no sign."""
        return 8 if self.bits == 4 and (self.relaxed or (self.narrow and self.architecture == "x86_64")) else 0

    @property
    def shifted(self) -> bool:
        """Whether 128 is added to the left side, and sums start from what takes it off."""
        return self.unsigned and not (self.relaxed and self.bits == 4)

    @property
    def chunk(self) -> int:
        """Number of steps whose products 16 bits hold, for weights of 4 bits.

        On x86-64 a step adds two products of -128 and up to 15, since weights lie there plus 8, on ARM two of -128 and
        -7; both are multiples of 2.
        """
        return 8 if self.architecture == "x86_64" else 16

    @property
    def bytes(self) -> int:
        """Bytes of a row of the left side that one step reads."""
        return self.depth * (4 if self.float32 else 1)

    @property
    def steps(self) -> int:
        """Number of steps whose weights lie in the same bytes."""
        return 2 if self.bits == 4 else 1

    @property
    def run(self) -> int:
        """Number of rows of the weights that lie in the same bytes."""
        return self.steps * self.depth

    def in_bits(self, bits: int) -> InstructionFamily:
        """Return the form of the family for weights of a number of bits; a family of float32 has only one."""
        return self if self.float32 or bits == self.bits else replace(self, bits=bits)

    def products_with(self, bits: int) -> float:
        """Return the number of products for each instruction of the inner loop with weights of a number of bits."""
        return self.products_in_4 if bits == 4 and self.products_in_4 is not None else self.products


# In the order in which they are preferred.
FAMILIES = (
    InstructionFamily(
        "vnni512",
        "x86_64",
        frozenset({"avx512f", "avx512vnni"}),
        lanes=16,
        depth=4,
        pair=16,
        unsigned=True,
        registers=32,
        products=64,
    ),
    InstructionFamily(
        "vnni256",
        "x86_64",
        frozenset({"avx2", "avxvnni"}),
        lanes=8,
        depth=4,
        pair=8,
        unsigned=True,
        registers=16,
        products=32,
    ),
    InstructionFamily(
        "maddubs256",
        "x86_64",
        frozenset({"avx2", "fma"}),
        lanes=8,
        depth=4,
        pair=8,
        registers=16,
        products=8,
        products_in_4=32 / 2.25,  # two instructions, and two more once a chunk
        narrow=True,
    ),
    InstructionFamily(
        "maddubs128",
        "x86_64",
        frozenset({"ssse3", "sse4.1"}),
        lanes=4,
        depth=4,
        pair=4,
        registers=16,
        products=4,
        products_in_4=16 / 2.25,
        narrow=True,
        fused=False,
    ),
    InstructionFamily(
        "i8mm",
        "aarch64",
        frozenset({"i8mm"}),
        lanes=4,
        depth=8,
        pair=2,
        registers=32,
        keeps=True,
        products=32,
    ),
    InstructionFamily(
        "dotprod",
        "aarch64",
        frozenset({"dotprod"}),
        lanes=4,
        depth=4,
        pair=4,
        registers=32,
        keeps=True,
        products=16,
    ),
    # Every 64-bit ARM. A column of weights lies by itself, and each of its sums has a register until the end.
    InstructionFamily(
        "smlal",
        "aarch64",
        frozenset(),
        lanes=4,
        depth=16,
        pair=1,
        registers=32,
        keeps=True,
        products=16 / 3,
        products_in_4=16 / (2 + 1 / 16),
        narrow=True,
    ),
    # 32-bit ARM: the same with half the registers, so that a row is multiplied at a time.
    InstructionFamily(
        "vmlal",
        "arm",
        frozenset({"neon"}),
        lanes=4,
        depth=16,
        pair=1,
        registers=16,
        keeps=True,
        products=16 / 3,
        products_in_4=16 / (2 + 1 / 16),
        narrow=True,
        fused=False,
    ),
    # `i32x4.relaxed_dot_i8x16_i7x16_add_s` adds four products in 32; for weights of 8 bits it takes two of them.
    InstructionFamily(
        "relaxed128",
        "wasm32",
        frozenset({"simd128", "relaxed-simd"}),
        lanes=4,
        depth=4,
        pair=4,
        registers=16,
        unsigned=True,
        products=8,
        products_in_4=16,
        relaxed=True,
        fused=False,
    ),
    # Bytes become 16 bits as they are loaded; `i32x4.dot_i16x8_s` adds two products in 32.
    InstructionFamily(
        "dot128",
        "wasm32",
        frozenset({"simd128"}),
        lanes=4,
        depth=2,
        pair=4,
        registers=16,
        keeps=True,
        products=4,
        fused=False,
    ),
)
FAMILIES_F32 = (
    InstructionFamily(
        "fma512",
        "x86_64",
        frozenset({"avx512f"}),
        lanes=16,
        depth=1,
        pair=16,
        registers=32,
        products=16,
        float32=True,
    ),
    InstructionFamily(
        "fma256",
        "x86_64",
        frozenset({"avx2", "fma"}),
        lanes=8,
        depth=1,
        pair=8,
        registers=16,
        products=8,
        float32=True,
    ),
    InstructionFamily(
        "sse",
        "x86_64",
        frozenset({"sse4.1"}),
        lanes=4,
        depth=1,
        pair=4,
        registers=16,
        products=2,
        float32=True,
        fused=False,
    ),
    InstructionFamily(
        "neon",
        "aarch64",
        frozenset(),
        lanes=4,
        depth=1,
        pair=4,
        registers=32,
        keeps=True,
        products=4,
        float32=True,
    ),
    InstructionFamily(
        "simd128",
        "wasm32",
        frozenset({"simd128"}),
        lanes=4,
        depth=1,
        pair=4,
        registers=16,
        keeps=True,
        products=2,
        float32=True,
        fused=False,
    ),
)


def choose_family(triple: str, features: Iterable[str], float32: bool = False) -> InstructionFamily | None:
    """Return the family for a processor, or None where there is none better than the compiler's own code.

    Args:
        triple: LLVM triple.
        features: Features that the target declares.
        float32: Whether float32 is multiplied instead of int8.
    """
    architecture, declared = architecture_of(triple), frozenset(features)
    families = FAMILIES_F32 if float32 else FAMILIES
    return next(
        (family for family in families if family.architecture == architecture and family.features <= declared), None
    )


@dataclass(frozen=True, slots=True)
class Kernels:
    """The kernels that a parser gets on a target.

    Attributes:
        lanes: Number of 32-bit numbers in a vector register, for kernels that need no special instruction.
        family: Instruction family of the products, or None where they are left to the compiler.
        shaders: Whether the kernels are shaders (`compile.kernels.shaders`), which know neither lanes nor families.
    """

    lanes: int
    family: InstructionFamily | None
    shaders: bool = False

    @property
    def name(self) -> str:
        """Name in files and messages."""
        if self.shaders:
            return "shaders"
        return self.family.name if self.family is not None else f"vectors{32 * self.lanes}"

    @property
    def splits_softmax(self) -> bool:
        """Whether the compiler's own softmax has to be taken apart (`compile.lowering.export.split_softmax`)."""
        return self.family is not None and self.family.architecture in ("arm", "wasm32")


SHADERS = Kernels(0, None, shaders=True)


def choose_kernels(triple: str, features: Iterable[str], integers: bool) -> Kernels | None:
    """Return the kernels for a processor, or None for an architecture on which they have not been tested.

    Args:
        triple: LLVM triple.
        features: Features that the target declares.
        integers: Whether the parser multiplies integers.
    """
    declared = frozenset(features)
    wide = 16 if "avx512f" in declared else 8 if "avx2" in declared else 4
    lanes = {
        "x86_64": wide,
        "aarch64": 4,
        "arm": 4 if "neon" in declared and integers else None,
        "wasm32": 4 if "simd128" in declared else None,
    }.get(architecture_of(triple) or "")
    if lanes is None:
        return None
    return Kernels(lanes, choose_family(triple, declared, not integers))


def find_family(name: str) -> InstructionFamily:
    """Return a family by its name.

    Raises:
        KeyError: There is none of that name.
    """
    return {family.name: family for family in (*FAMILIES, *FAMILIES_F32)}[name]
