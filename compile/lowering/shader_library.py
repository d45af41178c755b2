"""The shaders of a module are put into one library, each once and under a short name.

The compiler (3.13) makes an executable of every shader. The program that loads a module then tests for each whether
it could be made, and releases in every such branch all executables made before: with 650 shaders that is 0.4 MB of
branches that are never taken. In one executable there is one such test. Shaders differ in their names, and many in
nothing else; of equal ones the first is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from iree.compiler import ir
from iree.compiler.passmanager import PassManager

from compile.support.errors import ImportStageError

_LIBRARY, _VARIANT, _SHADER = "shaders", "code", "shader"


def join_shaders(source: Path, destination: Path) -> int:
    """Put the shaders of a module into one executable.

    Args:
        source: The module after the compiler's phase `executable-targets`, in which code is SPIR-V in MLIR. It must be
            text: from bytecode the compiler reads weights that lie beside each other in one constant as nothing.
        destination: The module to write, for the phases after that; text, too.

    Returns:
        The number of different shaders.

    Raises:
        ImportStageError: The compiler's module does not look as expected.
    """
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.parse(source.read_bytes())
        executables = [view.operation for view in module.body.operations if view.operation.name == "hal.executable"]
        if executables:
            library = _make_library(executables[0])
            names: dict[tuple[str, ...], str] = {}
            for executable in executables:
                names |= library.take(executable)
                executable.erase()
            _rename_launches(module.operation, names)
            module.operation.verify()
        # Without locations and said so, or the next phases name each shader by the path of this file.
        PassManager.parse("builtin.module(strip-debuginfo)").run(module.operation)
        with destination.open("wb") as file:
            module.operation.print(file=file, binary=True, enable_debug_info=True)
        return len(library) if executables else 0


class _Library:
    """The executable that gets all shaders."""

    def __init__(self, executable: ir.Operation) -> None:
        self._shaders = _only(_only(executable, "hal.executable.variant"), "builtin.module")
        self._names: dict[str, str] = {}  # by the text of a shader without its name

    def __len__(self) -> int:
        return len(self._names)

    def take(self, executable: ir.Operation) -> dict[tuple[str, ...], str]:
        """Take the shader of an executable, or leave an equal one.

        Returns:
            The shader's name in the library, by its path in the module.
        """
        variant = _only(executable, "hal.executable.variant")
        export = _only(variant, "hal.executable.export")
        shader = _only(_only(variant, "builtin.module"), "spirv.module")
        path = tuple(_name(operation) for operation in (executable, variant, export))
        _shorten_names(shader)
        _call(export, shader, _SHADER, 0)
        # In a scope of its own, or the whole module would be numbered for each.
        text = export.get_asm(use_local_scope=True) + shader.get_asm(use_local_scope=True)
        if text not in self._names:
            name = f"s{len(self._names)}"
            _call(export, shader, name, len(self._names))
            self._names[text] = name
            export.detach_from_parent()
            ir.InsertionPoint(self._shaders).insert(export)
            shader.detach_from_parent()
            self._shaders.regions[0].blocks[0].append(shader)
        return {path: self._names[text]}


def _make_library(example: ir.Operation) -> _Library:
    """Make an empty library before an executable, for the same target."""
    target = str(_only(example, "hal.executable.variant").attributes["target"]).removeprefix("#hal.executable.target")
    written = ir.Module.parse(
        f"hal.executable private @{_LIBRARY} {{ "
        f"hal.executable.variant public @{_VARIANT} target({target}) {{ builtin.module {{ }} }} }}"
    )
    (library,) = list(written.body.operations)
    library.detach_from_parent()
    ir.InsertionPoint(example).insert(library)
    return _Library(library.operation)


def _shorten_names(shader: ir.Operation) -> None:
    """Give the variables of a shader short names: the names are in its code."""
    names: dict[str, str] = {}
    for part in _inside(shader):
        if part.name == "spirv.GlobalVariable":
            names[_name(part)] = f"v{len(names)}"
            part.attributes["sym_name"] = ir.StringAttr.get(names[_name(part)])
    for operation in _all_inside(shader):
        if operation.name == "spirv.mlir.addressof":
            operation.attributes["variable"] = _reference(names[_referred(operation.attributes["variable"])])
        elif operation.name == "spirv.EntryPoint":
            operation.attributes["interface"] = ir.ArrayAttr.get(
                [_reference(names[_referred(variable)]) for variable in ir.ArrayAttr(operation.attributes["interface"])]
            )


def _call(export: ir.Operation, shader: ir.Operation, name: str, ordinal: int) -> None:
    """Give a shader a name and a number."""
    for part in _inside(shader):
        if part.name == "spirv.func":
            part.attributes["sym_name"] = ir.StringAttr.get(name)
        elif part.name in ("spirv.EntryPoint", "spirv.ExecutionMode"):
            part.attributes["fn"] = _reference(name)
    export.attributes["sym_name"] = ir.StringAttr.get(name)
    export.attributes["ordinal"] = ir.IntegerAttr.get(ir.IndexType.get(), ordinal)


def _rename_launches(module: ir.Operation, names: dict[tuple[str, ...], str]) -> None:
    """Let every launch name its shader in the library."""
    for operation in _all_inside(module):
        if operation.name == "stream.cmd.dispatch":
            paths = [tuple(ir.SymbolRefAttr(path).value) for path in ir.ArrayAttr(operation.attributes["entry_points"])]
            operation.attributes["entry_points"] = ir.ArrayAttr.get(
                [ir.SymbolRefAttr.get([_LIBRARY, _VARIANT, names[path]]) for path in paths]
            )


def _only(operation: ir.Operation, name: str) -> ir.Operation:
    """Return the only operation of a kind in another one."""
    parts = [part for part in _inside(operation) if part.name == name]
    if len(parts) != 1:
        held = ", ".join(part.name for part in _inside(operation))
        raise ImportStageError(f"{operation.name} of the compiler's holds {held}, expected one {name}")
    return parts[0]


def _inside(operation: ir.Operation) -> list[ir.Operation]:
    return [view.operation for region in operation.regions for block in region.blocks for view in block.operations]


def _all_inside(operation: ir.Operation) -> Iterator[ir.Operation]:
    for inner in _inside(operation):
        yield inner
        yield from _all_inside(inner)


def _name(operation: ir.Operation) -> str:
    return ir.StringAttr(operation.attributes["sym_name"]).value


def _reference(name: str) -> ir.Attribute:
    return ir.FlatSymbolRefAttr.get(name)


def _referred(reference: ir.Attribute) -> str:
    return ir.FlatSymbolRefAttr(reference).value
