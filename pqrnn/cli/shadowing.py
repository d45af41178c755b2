"""Whether a file of the user's stands in front of a package of this project.

`python -m pqrnn` looks for modules in the folder that it is started in first, and a project may well have a package
`targets` or a script `compile.py`.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

_PACKAGES = ("compile", "runtime_py", "targets")


def find_shadow() -> str:
    """Return what stands in front of what, and what to do about it; empty where everything is found."""
    root = Path(__file__).resolve().parents[2]
    for name in _PACKAGES:
        own = root / name
        if not (own / "__init__.py").is_file():
            continue  # installed in another way than side by side
        try:
            spec = find_spec(name)
        except (ImportError, ValueError):  # loaded already, by other means
            continue
        if spec is None or spec.origin is None or Path(spec.origin).resolve().parent == own:
            continue
        file = Path(spec.origin)
        shadow = file.parent if file.name == "__init__.py" else file
        hint = (
            "Start `pqrnn` instead of `python -m pqrnn`, or start it in another folder"
            if shadow.parent.resolve() == Path.cwd()
            else f"Take {shadow.parent} out of $PYTHONPATH"
        )
        return (
            f"{shadow} stands in front of pqrnn's own package {name!r} ({own}), since Python looks in {shadow.parent} "
            f"first. {hint}, or give yours another name."
        )
    return ""
