r"""Signed packages and updates: what is verified, which changes are refused, how many bytes an update has.

    python -m benchmarks.signatures PACKAGE... [--update "WHAT=OLD,NEW"]...

Each package is copied, signed with a key of each kind, and changed: single bits of every file, its signatures among
them, evenly spread, and files that are added, removed and renamed. Each change has to be refused before any code is
loaded, by what `Parser.load` does with a required signature. Where OpenSSF's library `model_signing` is installed, it
verifies our signatures, and we those that it makes. Rows are kept in `results/robustness.json`.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from benchmarks.results import keep_results, print_rows, tell_command
from pqrnn.evaluation.results import ResultRow
from runtime_py.errors import ParserError
from runtime_py.package_format.manifest import SIGNATURES
from runtime_py.package_format.package import open_package
from runtime_py.trust.keys import KINDS, make_keys
from runtime_py.trust.signatures import sign_package
from runtime_py.update.apply import make_update
from runtime_py.update.delta import read_delta, rebuild

NAME = "robustness"
SIGNING, UPDATES = "signatures", "updates"
_BITS = 500  # of each file of a package


def main() -> None:
    """Sign, change, count, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, nargs="+", help="compiled packages")
    parser.add_argument("--update", action="append", default=[], metavar="WHAT=OLD,NEW", help="measure an update")
    parser.add_argument("--bits", type=int, default=_BITS, help="bits of each file of a package that are changed")
    parser.add_argument("--print", action="store_true", dest="only_print", help="print the rows and keep nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pqrnn-signatures-") as folder:
        rows = measure_signatures(arguments.package, Path(folder), arguments.bits)
        for text in arguments.update:
            what, _, pair = text.partition("=")
            old, _, new = pair.partition(",")
            rows += measure_update(what, Path(old), Path(new), Path(folder), arguments.bits)
    if arguments.only_print:
        print_rows(NAME, rows)
    else:
        works = [SIGNING, UPDATES] if arguments.update else [SIGNING]
        keep_results(NAME, rows, tell_command("benchmarks.signatures"), replace_works=works)


def measure_signatures(packages: list[Path], folder: Path, bits: int) -> list[ResultRow]:
    """Sign each package with each kind of key, and count what is verified and what is refused."""
    verified = signed = refused = changed = moved = moves = 0
    for number, package in enumerate(packages):
        for kind in KINDS:
            copy, name = folder / f"{number}-{kind}" / package.name, folder / f"{number}-{kind}" / "me"
            shutil.copytree(package, copy, ignore=shutil.ignore_patterns(SIGNATURES))
            key = make_keys(name, kind).path
            signature = copy / sign_package(copy, name.with_suffix(".key")).file
            signed += 1
            verified += not _is_refused(copy, key)
            for file in sorted(each for each in copy.rglob("*") if each.is_file()):
                count = file.stat().st_size * 8
                for bit in range(0, count, max(count // (10 * bits if file == signature else bits), 1)):
                    changed += 1
                    refused += _flip(file, bit, lambda copy=copy, key=key: _is_refused(copy, key))  # type: ignore[misc]
            for undo in _move(copy, signature):
                moves += 1
                moved += _is_refused(copy, key)
                undo()
            verified -= _is_refused(copy, key)  # all is as it was
    rows = [
        ResultRow(work=SIGNING, metric="signed packages verified", value=verified, n=signed, note="a key of each kind"),
        ResultRow(
            work=SIGNING,
            metric="single-bit changes refused",
            value=refused,
            n=changed,
            note=f"{bits} bits of each file, ten times as many of the signatures",
        ),
        ResultRow(work=SIGNING, metric="files added, removed or renamed refused", value=moved, n=moves),
    ]
    if find_spec("model_signing") is not None:
        good = sum(map(_exchange_with_theirs, packages, (folder / f"theirs-{n}" for n in range(len(packages)))))
        note = f"model-signing {version('model-signing')} verifies ours, and ours what it signed; ECDSA"
        rows.append(
            ResultRow(work=SIGNING, metric="verified by the other program", value=good, n=2 * len(packages), note=note)
        )
    return rows


def _is_refused(package: Path, key: Path) -> bool:
    try:
        open_package(package, keys=[key])
    except ParserError:
        return True
    return False


def _flip(file: Path, bit: int, judge: Callable[[], bool]) -> bool:
    """Change a bit of a file, judge, and change it back."""
    for turn in range(2):
        with file.open("r+b") as stream:
            stream.seek(bit // 8)
            byte = stream.read(1)[0]
            stream.seek(bit // 8)
            stream.write(bytes([byte ^ 1 << bit % 8]))
        if not turn:
            verdict = judge()
    return verdict


def _move(package: Path, signature: Path) -> Iterator[Callable[[], object]]:
    """Add, remove and rename files, one after the other; what is given undoes it."""
    for name in ("added", "golden/added", f"{SIGNATURES}/added.txt"):
        (package / name).write_bytes(b"x")
        yield (package / name).unlink
    for file in sorted(each for each in package.rglob("*") if each.is_file()):
        other = package.parent / "removed"
        file.rename(other)
        yield lambda other=other, file=file: other.rename(file)  # type: ignore[misc]
        other = package / f"renamed{file.suffix}" if file == signature else file.with_name(f"renamed{file.suffix}")
        file.rename(other)
        yield lambda other=other, file=file: other.rename(file)  # type: ignore[misc]


def _exchange_with_theirs(package: Path, folder: Path) -> int:
    """Return how many of two signatures are verified by the program that did not make them."""
    from model_signing import hashing, signing, verifying  # type: ignore[import-not-found, unused-ignore]

    good = 0
    copy = folder / package.name
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns(SIGNATURES))
    ours, theirs = (make_keys(folder / name, "ecdsa").path for name in ("ours", "theirs"))
    signature = copy / sign_package(copy, ours.with_suffix(".key")).file
    try:
        verifying.Config().use_elliptic_key_verifier(public_key=ours).verify(copy, signature)
        good += 1
    except ValueError as error:
        print(f"! {package}: {error}")
    config = signing.Config().use_elliptic_key_signer(private_key=theirs.with_suffix(".key"))
    ignored = hashing.Config().set_ignored_paths(paths=[SIGNATURES], ignore_git_paths=True)
    config.set_hashing_config(ignored).sign(copy, copy / SIGNATURES / "theirs.sig")
    return good + (not _is_refused(copy, theirs))


def measure_update(what: str, old: Path, new: Path, folder: Path, bits: int) -> list[ResultRow]:
    """Make an update, see that it gives the very package, and that no bit of it can be changed."""
    file = folder / "a.pqdelta"
    made = make_update(old, new, file)
    before, after = (_contents(package) for package in (old, new))
    rebuilt = rebuild(read_delta(file), before, what)
    count = made.bytes * 8
    spread = range(0, count, max(count // bits, 1))
    refused = sum(_flip(file, bit, lambda: _is_no_update(file)) for bit in spread)
    return [
        ResultRow(
            work=UPDATES,
            metric="bytes of an update",
            value=made.bytes,
            unit="bytes",
            peer=what,
            note=f"the whole package has {made.package_bytes:,} bytes",
        ),
        ResultRow(work=UPDATES, metric="share of the whole package", value=made.bytes / made.package_bytes, peer=what),
        ResultRow(work=UPDATES, metric="gives the very package", value=int(rebuilt == after), n=1, peer=what),
        ResultRow(work=UPDATES, metric="single-bit changes refused", value=refused, n=len(spread), peer=what),
    ]


def _contents(package: Path) -> dict[str, bytes]:
    manifest = open_package(package).manifest
    return {name: (package / name).read_bytes() for name in ("manifest.json", *manifest.files)}


def _is_no_update(file: Path) -> bool:
    try:
        read_delta(file)
    except ParserError:
        return True
    return False


if __name__ == "__main__":
    main()
