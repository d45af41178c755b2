"""Packages from Debian's archive, which are fetched without installing them, for any architecture, without root.

apt is run with lists and settings of its own. It checks the signatures as always; the system's lists, packages and
network settings stay as they are.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from compile.emulation import pins
from compile.support.process import Finished, run_tool

_MINUTES = 10 * 60.0


class FetchError(Exception):
    """A package or tool cannot be obtained; the text says which, why, and what to do."""


class Debian:
    """Debian's archive for one architecture."""

    def __init__(self, folder: Path, architecture: str | None, say: Callable[[str], None]) -> None:
        """Fetch nothing yet.

        Args:
            folder: Folder of the lists and the packages; it is made when needed.
            architecture: Debian's name of the architecture (`arm64`), or None for that of this machine.
            say: Called with what is being fetched.
        """
        self._parent, self._wanted, self._say = folder, architecture, say
        self._ready = False

    @cached_property
    def _architecture(self) -> str:
        return self._wanted or native_architecture()

    @property
    def _folder(self) -> Path:
        return self._parent / self._architecture

    def download(self, packages: Sequence[str], suite: str = pins.SUITE) -> list[Path]:
        """Fetch packages without their dependencies.

        Returns:
            The `.deb` files, in no order.

        Raises:
            FetchError: The command `apt-get` failed; with its own message.
        """
        self._update()
        folder = self._folder / "packages" / suite
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._say(f"fetching {_listing(packages)} ({self._architecture}, {suite})")
        self._apt("download", *(f"{package}/{suite}" for package in packages), folder=folder)
        return sorted(folder.glob("*.deb"))

    def download_missing(self, packages: Sequence[str]) -> list[Path]:
        """Fetch packages of this machine's architecture, with those dependencies that the system lacks.

        Returns:
            The `.deb` files, in no order.

        Raises:
            FetchError: The command `apt-get` failed; with its own message.
        """
        self._update()
        folder = self._folder / "archives"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "partial").mkdir(parents=True)
        self._say(f"fetching {_listing(packages)} and what they need ({self._architecture})")
        system = _without(Path("/var/lib/dpkg/status").read_text(encoding="utf-8"), packages)
        status = self._folder / "system-status"
        status.write_text(system, encoding="utf-8")
        options = (f"-oDir::State::status={status}", f"-oDir::Cache::archives={folder}")
        self._apt("install", "--download-only", "--no-install-recommends", "--yes", *options, *packages)
        return sorted(folder.glob("*.deb"))

    def _update(self) -> None:
        if self._ready:
            return
        native_architecture()  # are Debian's tools there?
        if not Path(pins.KEYRING).is_file():
            raise FetchError(f"{pins.KEYRING} is missing. Install it: apt-get install debian-archive-keyring")
        for name in ("lists/partial", "cache/archives/partial", "packages"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        (self._folder / "status").write_bytes(b"")
        lines = [f"{pins.ARCHIVE} {suite}" for suite in (pins.SUITE, pins.BACKPORTS)] + [
            f"{pins.SECURITY} {pins.SUITE}-security"
        ]
        sources = "".join(f"deb [signed-by={pins.KEYRING}] {line} main\n" for line in lines)
        (self._folder / "sources.list").write_text(sources, encoding="utf-8")
        self._say(f"reading Debian's lists of packages ({self._architecture})")
        self._apt("update", "--error-on=any")
        self._ready = True

    def _apt(self, *arguments: str, folder: Path | None = None) -> None:
        here = self._folder
        options = {
            "APT::Architecture": self._architecture,
            "APT::Architectures": self._architecture,
            "APT::Sandbox::User": "root",  # the folder need not be readable to apt's own user
            "APT::Update::Post-Invoke-Success::": "",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Debug::NoLocking": "true",  # the installer holds a lock of its own
            "Dir::Cache": here / "cache",
            "Dir::Etc::sourcelist": here / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State": here / "state",
            "Dir::State::lists": here / "lists",
            "Dir::State::status": here / "status",
        }
        (here / "state").mkdir(parents=True, exist_ok=True)
        command = ["apt-get", "--quiet", *(f"-o{name}={value}" for name, value in options.items()), *arguments]
        _checked(command, "apt-get", folder)


def native_architecture() -> str:
    """Return Debian's name of this machine's architecture.

    Raises:
        FetchError: This system lacks Debian's tools.
    """
    for tool in ("apt-get", "dpkg", "dpkg-deb", "tar"):
        if shutil.which(tool) is None:
            raise FetchError(
                f"{tool} is missing: the emulators come from Debian's packages, "
                "so this needs Debian, Ubuntu or a container of them"
            )
    return _checked(["dpkg", "--print-architecture"], "dpkg").output.strip()


def unpack(package: Path, folder: Path, files: Sequence[str] = ()) -> None:
    """Unpack a package, or some of its files, into a folder, without running its scripts.

    Raises:
        FetchError: The package is broken, or lacks a file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not files:
        _checked(["dpkg-deb", "--extract", package, folder], f"unpacking {package.name}")
        return
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as source:
        command = ["tar", "--extract", "--no-same-owner", f"--directory={folder}", *(f"./{name}" for name in files)]
        done = subprocess.run(command, stdin=source.stdout, capture_output=True, text=True, check=False)
    if done.returncode or source.returncode:
        raise FetchError(f"unpacking {package.name} failed: {_last_line(done.stderr)}")


def _without(status: str, packages: Sequence[str]) -> str:
    """Return the system's list of installed packages without some of them."""
    gone = tuple(f"Package: {package}\n" for package in packages)
    return "\n\n".join(entry for entry in status.split("\n\n") if not f"{entry}\n".startswith(gone))


def _checked(command: Sequence[str | Path], what: str, folder: Path | None = None) -> Finished:
    try:
        finished = run_tool(command, _MINUTES, folder=folder)
    except OSError as error:
        raise FetchError(f"{what}: {error}") from error
    if finished.code:
        raise FetchError(f"{what} {finished.ending}: {_last_line(finished.diagnostics or finished.output)}")
    return finished


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E:")]
    return (errors or lines or ["it said nothing"])[-1].strip()


def _listing(packages: Sequence[str]) -> str:
    return ", ".join(packages[:3]) + (f" and {len(packages) - 3} more" if len(packages) > 3 else "")
