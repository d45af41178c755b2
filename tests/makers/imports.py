"""What the product's modules import, read from their sources."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("benchmarks", "compile", "pqrnn", "runtime_py", "targets")


@cache
def sources(*folders: str) -> list[Path]:
    """Return the Python files of these folders of the repository, sorted."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imported_packages(path: Path) -> set[str]:
    """Return the top-level packages that a file imports anywhere, also within functions."""
    return {name.split(".")[0] for name in _imported_names(path, inside=True)}


@cache
def import_graph() -> dict[str, set[str]]:
    """Return the product's modules, each with those of them that are loaded when it is.

    Imports within functions and for type checkers only are left out. `from package import module` counts as an import
    of the module.
    """
    modules = {_module_name(path): path for path in sources(*PACKAGES)}
    graph = {}
    for module, path in modules.items():
        found = set()
        for name in _imported_names(path, inside=False):
            parent = name.rpartition(".")[0]
            found |= {name} & modules.keys() or {parent} & modules.keys()
        graph[module] = found - {module}
    return graph


def reached_packages(module: str) -> set[str]:
    """Return the top-level packages that are loaded with a module, by itself or by modules of the product."""
    graph, reached, todo = import_graph(), set(), [module]
    while todo:
        name = todo.pop()
        if name not in reached and name in graph:
            reached.add(name)
            todo += [*graph[name], name.rpartition(".")[0]]
    paths = [path for path in sources(*PACKAGES) if _module_name(path) in reached]
    return {name.split(".")[0] for path in paths for name in _imported_names(path, inside=False)}


def find_circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the groups of two or more modules in which each is reached from every other one (Tarjan 1972)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    circles: list[list[str]] = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        stack.append(module)
        for other in graph[module]:
            if other not in order:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in stack:
                lowest[module] = min(lowest[module], order[other])
        if lowest[module] == order[module]:
            start = stack.index(module)
            if len(stack) - start > 1:
                circles.append(sorted(stack[start:]))
            del stack[start:]

    for module in graph:
        if module not in order:
            visit(module)
    return circles


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _imported_names(path: Path, *, inside: bool) -> set[str]:
    """Dotted names of what is imported; of `from a import b` it is `a.b`."""
    names: set[str] = set()
    for node in _statements(_parse(path), inside=inside):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{path}:{node.lineno}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _statements(node: ast.AST, *, inside: bool) -> Iterator[ast.AST]:
    """Yield the nodes below a node; without `inside` not those of functions, nor those for type checkers only."""
    for child in ast.iter_child_nodes(node):
        if not inside and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if not inside and isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        yield child
        yield from _statements(child, inside=inside)
