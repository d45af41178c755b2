"""A kernel as the compiler takes it: an executable of its own in the module, and a function that dispatches it."""

from __future__ import annotations

from dataclasses import dataclass

from compile.kernels.mlir_builder import memory_of, tensor_of


@dataclass(frozen=True, slots=True)
class Buffer:
    """A tensor that a kernel reads or writes.

    Attributes:
        name: Name in the code, such as `%left`.
        shape: Shape of the tensor.
        element: Element type, such as `i8`.
        seen: Element type and shape that the code sees in the same bytes, where they differ from the tensor's.
    """

    name: str
    shape: tuple[int, ...]
    element: str
    seen: tuple[str, tuple[int, ...]] | None = None

    @property
    def tensor(self) -> str:
        """MLIR type of the tensor as a value."""
        return tensor_of(self.shape, self.element)

    @property
    def memory(self) -> str:
        """MLIR type of the tensor as memory."""
        return memory_of(self.shape, self.element) if self.seen is None else memory_of(self.seen[1], self.seen[0])


@dataclass(frozen=True, slots=True)
class Kernel:
    """Generated code.

    Attributes:
        name: Name of the function that runs the kernel.
        reads: Arguments of the kernel.
        writes: Results of the kernel.
        groups: Number of times that the code is run, each time with the next `%group`, from 0.
        body: The code, which refers to buffers by their names.
        scratch: Buffers that the code works in.
    """

    name: str
    reads: tuple[Buffer, ...]
    writes: tuple[Buffer, ...]
    groups: int
    body: str
    scratch: tuple[Buffer, ...] = ()


def write_executable(kernel: Kernel, target: str) -> str:
    """Return the kernel as `hal.executable` and the function `@<name>` on tensors that dispatches it.

    Args:
        kernel: The kernel.
        target: The compiler's own description of the target, `#hal.executable.target<...>`. It has to be that of the
            module's device to the letter, or the kernel lands in another library than the rest and is not found when it
            is run.
    """
    written = (*kernel.writes, *kernel.scratch)  # the compiler knows no other way to give a dispatch memory of its own
    buffers = (*kernel.reads, *written)
    # Indirect: launches name their buffers by number, so that a list of launches is recorded once, when the module is
    # loaded, and replayed by every call.
    kinds = ['#hal.pipeline.binding<storage_buffer, "ReadOnly|Indirect">'] * len(kernel.reads) + [
        "#hal.pipeline.binding<storage_buffer, Indirect>"
    ] * len(written)
    layout = f"#hal.pipeline.layout<bindings = [{', '.join(kinds)}]>"
    bound = "\n".join(
        f"{buffer.name} = hal.interface.binding.subspan layout({layout}) binding({number}) alignment(64) "
        f"offset(%origin) : {buffer.memory}"
        for number, buffer in enumerate(buffers)
    )
    arguments = ", ".join(f"{buffer.name}: {buffer.tensor}" for buffer in kernel.reads)
    results = ", ".join(buffer.tensor for buffer in kernel.writes)
    names = ", ".join(f"%r#{number}" for number in range(len(kernel.writes)))
    symbol = f"@{kernel.name}_kernel::@code::@{kernel.name}_kernel"
    return f"""
hal.executable private @{kernel.name}_kernel {{
  hal.executable.variant public @code target({target}) {{
    hal.executable.export public @{kernel.name}_kernel ordinal(0) layout({layout})
        count(%device: !hal.device) -> (index, index, index) {{
      %one = arith.constant 1 : index
      %groups = arith.constant {kernel.groups} : index
      hal.return %groups, %one, %one : index, index, index
    }}
    builtin.module {{
      func.func @{kernel.name}_kernel() {{
        %origin = arith.constant 0 : index
        %group = hal.interface.workgroup.id[0] : index
        {bound}
        {kernel.body}
        return
      }}
    }}
  }}
}}
util.func private @{kernel.name}({arguments}) -> ({results}) {{
  %r:{len(written)} = flow.dispatch {symbol}({", ".join(buffer.name for buffer in kernel.reads)}) :
    ({", ".join(buffer.tensor for buffer in kernel.reads)}) -> ({", ".join(buffer.tensor for buffer in written)})
  util.return {names} : {results}
}}
"""
