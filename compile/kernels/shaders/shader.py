"""A shader as the compiler takes it: an executable of its own in the module, and a function that dispatches it."""

from __future__ import annotations

from dataclasses import dataclass

from compile.kernels.kernel import Buffer
from compile.kernels.mlir_builder import Code, Value

THREADS = 64  # of a workgroup: a multiple of the lanes of every GPU
_SPACE = "#hal.descriptor_type<storage_buffer>"


@dataclass(frozen=True, slots=True)
class Shader:
    """Generated code for a GPU.

    Attributes:
        name: Name of the function that runs the shader.
        reads: Arguments of the shader.
        writes: Results of the shader.
        threads: Number of threads; the code is run for each, and for those that fill up the last workgroup.
        body: The code, which refers to buffers by their names, and to the number of its thread as `%thread`.
    """

    name: str
    reads: tuple[Buffer, ...]
    writes: tuple[Buffer, ...]
    threads: int
    body: str


def storage_of(buffer: Buffer) -> str:
    """Return MLIR's name of a buffer's memory, as a shader sees it."""
    element, shape = buffer.seen or (buffer.element, buffer.shape)
    return f"memref<{'x'.join([*map(str, shape), element])}, {_SPACE}>"


def load(code: Code, buffer: Buffer, *indices: Value) -> Value:
    """Add a load of one element: a number, or a vector where the buffer is seen as vectors."""
    return code.value(f"memref.load {buffer.name}[{', '.join(indices)}] : {storage_of(buffer)}")


def store(code: Code, value: Value, buffer: Buffer, *indices: Value) -> None:
    """Add a store of one element."""
    code.line(f"memref.store {value}, {buffer.name}[{', '.join(indices)}] : {storage_of(buffer)}")


def last_at_most(code: Code, index: Value, count: int) -> Value:
    """Return an index, or `count - 1` where it is beyond: superfluous threads do again what the last one does."""
    return code.value(f"arith.minui {index}, {code.index(count - 1)} : index")


def write_shader(shader: Shader, target: str) -> str:
    """Return the shader as `hal.executable` and the function `@<name>` on tensors that dispatches it.

    Args:
        shader: The shader.
        target: The compiler's own description of the target, `#hal.executable.target<...>`.
    """
    buffers = (*shader.reads, *shader.writes)
    kinds = ['#hal.pipeline.binding<storage_buffer, "ReadOnly|Indirect">'] * len(shader.reads) + [
        "#hal.pipeline.binding<storage_buffer, Indirect>"
    ] * len(shader.writes)
    layout = f"#hal.pipeline.layout<bindings = [{', '.join(kinds)}]>"
    bound = "\n".join(
        f"{buffer.name} = hal.interface.binding.subspan layout({layout}) binding({number}) alignment(64) "
        f"offset(%origin) : {storage_of(buffer)}"
        for number, buffer in enumerate(buffers)
    )
    arguments = ", ".join(f"{buffer.name}: {buffer.tensor}" for buffer in shader.reads)
    names = ", ".join(buffer.name for buffer in shader.reads)
    kinds_read = ", ".join(buffer.tensor for buffer in shader.reads)
    results = ", ".join(buffer.tensor for buffer in shader.writes)
    returned = ", ".join(f"%r#{number}" for number in range(len(shader.writes)))
    return f"""
hal.executable private @{shader.name}_shader {{
  hal.executable.variant public @code target({target}) {{
    hal.executable.export public @{shader.name}_shader ordinal(0) layout({layout})
        count(%device: !hal.device) -> (index, index, index) {{
      %one = arith.constant 1 : index
      %groups = arith.constant {-(-shader.threads // THREADS)} : index
      hal.return %groups, %one, %one : index, index, index
    }}
    builtin.module {{
      func.func @{shader.name}_shader() attributes {{
          translation_info = #iree_codegen.translation_info<pipeline = #iree_gpu.spirv_pipeline<BaseLowering>
                                                            workgroup_size = [{THREADS}, 1, 1]>}} {{
        %origin = arith.constant 0 : index
        %size = arith.constant {THREADS} : index
        %group = hal.interface.workgroup.id[0] : index
        %lane = gpu.thread_id x
        %first = arith.muli %group, %size : index
        %thread = arith.addi %first, %lane : index
        {bound}
        {shader.body}
        return
      }}
    }}
  }}
}}
util.func private @{shader.name}({arguments}) -> ({results}) {{
  %r:{len(shader.writes)} = flow.dispatch @{shader.name}_shader::@code::@{shader.name}_shader({names}) :
    ({kinds_read}) -> ({results})
  util.return {returned} : {results}
}}
"""
