"""Making an update of a package, applying it, and going back.

An update is applied beside the package and takes its name only when all is right: it is for this very package, gives
the very files that it names, is signed where that is demanded, and answers its golden texts right on this machine. The
package before it is kept as `NAME.previous`, which `go_back` puts in its place again.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from runtime_py.atomic_files import write_atomic
from runtime_py.device.gpu_selftest import run_replay
from runtime_py.device.preflight import this_machine
from runtime_py.device.selection import select_variant
from runtime_py.errors import PackageError, SignatureError, UpdateError
from runtime_py.package_format.manifest import MANIFEST_NAME
from runtime_py.package_format.package import Package, find_unlisted, open_package
from runtime_py.package_format.proofs import Parity
from runtime_py.trust.requirement import environment_of, required_keys
from runtime_py.trust.signatures import signature_files
from runtime_py.update.delta import describe_files, encode_delta, read_delta, rebuild
from runtime_py.update.exchange import clear_abandoned, exchange, exchange_back, previous_of, recover

SECONDS = 600.0


class Made(Struct, frozen=True):
    """An update that was made.

    Attributes:
        update: Path of its file.
        bytes: Its size.
        package_bytes: Size of the whole new package.
    """

    update: str
    bytes: int
    package_bytes: int


class Applied(Struct, frozen=True):
    """An update that was applied, or gone back from.

    Attributes:
        package: Path of the package.
        name: Name of the package that is there now.
        digest: Digest of its manifest.
        previous: Where the one before is kept.
        target: The variant that answered the golden texts.
        texts: Number of these.
        signers: Fingerprints of the keys that were demanded and signed it.
    """

    package: str
    name: str
    digest: str
    previous: str
    target: str
    texts: int
    signers: tuple[str, ...]

    def __str__(self) -> str:
        """Return it for people."""
        who = f", signed by {', '.join(signer[:16] for signer in self.signers)}" if self.signers else ""
        return (
            f"{self.package}: now {self.name}, digest {self.digest[:16] or 'none'}{who}; {self.texts} golden texts are "
            f"answered right by {self.target}. The one before: {self.previous}"
        )


class _Replayed(Struct, frozen=True):
    """The part of `runtime_py.tools.replay.Replay` that is judged here."""

    parity: Parity


def make_update(old: str | Path, new: str | Path, out: str | Path) -> Made:
    """Write what turns one package into another.

    Args:
        old: The package that is on the boards.
        new: The package that is to be there, signed already if it is to be.
        out: The file to write.

    Raises:
        PackageError: One of them is damaged, or holds a file that its manifest does not list.
        UpdateError: One of them is too large, or the file cannot be written.
    """
    before, after = open_package(old, verify=True), open_package(new, verify=True)
    files = [_read_files(package) for package in (before, after)]
    files[0] = {name: content for name, content in files[0].items() if name in (MANIFEST_NAME, *before.manifest.files)}
    content = encode_delta(after.manifest.name, *files)
    try:
        write_atomic(Path(out), content)
    except OSError as error:
        raise UpdateError(f"{out}: cannot be written ({error.strerror}).") from error
    return Made(str(out), len(content), sum(map(len, files[1].values())))


def apply_update(
    path: str | Path,
    update: str | Path,
    keys: str | Path | Sequence[str | Path] | None = None,
    seconds: float = SECONDS,
) -> Applied:
    """Apply an update to a package; if anything is wrong, the package stays what it is.

    Args:
        path: The package directory.
        update: The file of the update.
        keys: Files of public keys, one of which has to have signed the new package; by default those of
            $PQRNN_REQUIRE_SIGNATURE.
        seconds: Time after which the check of the new package counts as hung.

    Raises:
        UpdateError: The update cannot be read, is for another package, or its package answers wrong here.
        PackageError: The package, or the one that came of it, is damaged or (SignatureError) not signed as demanded.
        ParserError: No variant of the new package runs on this machine.
    """
    path, demanded = Path(os.path.abspath(path)), required_keys(keys)
    recover(path)
    delta = read_delta(Path(update))
    before = open_package(path, verify=True)
    here = _read_files(before)
    if describe_files(here) == delta.header.new:
        raise UpdateError(f"{path}: is the package that {update} gives already. There is nothing to do.")
    files = rebuild(delta, {name: here[name] for name in here if name in delta.header.old}, str(update))
    staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        for name, content in files.items():
            write_atomic(staging / name, content)
        staging.chmod(0o755)
        applied = _check(staging, path, demanded, seconds, str(update))
        _flush(staging)
        exchange(staging, path)
        _flush(path.parent)
        clear_abandoned(path)
    except OSError as error:
        raise UpdateError(f"{path}: cannot be updated ({error.strerror}); it stays what it is.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return applied


def go_back(
    path: str | Path, keys: str | Path | Sequence[str | Path] | None = None, seconds: float = SECONDS
) -> Applied:
    """Put the package that an update has replaced in its place again, after the same checks.

    Args:
        path: The package directory, which may be damaged or missing.
        keys: As for `apply_update`.
        seconds: As for `apply_update`.

    Raises:
        UpdateError: There is none, or it answers wrong here.
        PackageError: It is damaged, or not signed as demanded.
    """
    path = Path(os.path.abspath(path))
    previous = previous_of(path)
    if not previous.is_dir():
        raise UpdateError(f"{previous}: there is no package before this one. Copy one there, or apply an update.")
    applied = _check(previous, path, required_keys(keys), seconds, str(previous))
    try:
        exchange_back(path)
        _flush(path.parent)
    except OSError as error:
        raise UpdateError(f"{path}: cannot be exchanged ({error.strerror}).") from error
    return applied


def _check(fresh: Path, path: Path, keys: Sequence[Path], seconds: float, where: str) -> Applied:
    """See that a package is whole, signed as demanded, and answers right here."""
    package = open_package(fresh, verify=True, keys=keys)
    for name in find_unlisted(package):
        raise UpdateError(f"{where}: brings a file {name!r} that is in no list of the package's files.")
    manifest = package.manifest
    selection = select_variant(manifest, this_machine(), where=where)
    arguments = [str(fresh), "--target", selection.variant.target, "--repeats", "2"]
    # In a process of its own: code that crashes or hangs takes nothing with it.
    printed, problem = run_replay(seconds, *arguments, environment=environment_of(keys))
    if not problem:
        try:
            parity = msgspec.json.decode(printed, type=_Replayed).parity
            problem = "" if parity.passed else f"gave wrong answers ({'; '.join(parity.failures)})"
        except msgspec.DecodeError:
            problem = "gave no answer that can be read"
    if problem:
        raise UpdateError(
            f"{where}: the new package {problem} on this machine. {path} stays what it is; see what it says: pqrnn "
            "check, with the whole new package."
        )
    return Applied(
        package=str(path),
        name=manifest.name,
        digest=manifest.digest,
        previous=str(previous_of(path)),
        target=selection.variant.target,
        texts=manifest.golden.texts,
        signers=package.signers,
    )


def _read_files(package: Package) -> dict[str, bytes]:
    """Return the verified content of every file of a package, with its manifest and signatures."""
    for name in find_unlisted(package):
        raise PackageError(f"{package.path / name}: is in no list of the package's files. Delete it.")
    content = {}
    for name, entry in package.manifest.files.items():
        if entry.bytes:
            with package.read_file(name) as memory:
                content[name] = bytes(memory)
        else:
            content[name] = b""
    try:
        for file in [package.path / MANIFEST_NAME, *signature_files(package.path)]:
            content[file.relative_to(package.path).as_posix()] = file.read_bytes()
    except OSError as error:
        raise SignatureError(f"{package.path}: cannot be read ({error.strerror}).") from error
    return content


def _flush(folder: Path) -> None:
    """Let a folder's names reach the disk, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
