"""A page in headless Chromium: its files are served on the loopback interface, and it sends back one answer."""

from __future__ import annotations

import functools
import json
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
"""Path of Chromium; None where there is none (`apt-get install chromium`)."""


class BrowserError(RuntimeError):
    """The browser is missing, ended, or sent no answer in time."""


def ask_browser(folders: Mapping[str, Path], page: str, seconds: float) -> Any:
    """Open a page in Chromium, and return the JSON that it posts to `/answer`.

    The page is isolated from other origins, so that its clock counts steps of 5 microseconds instead of 100.

    Args:
        folders: What is served: the folder behind the first part of a path.
        page: Path of the page, as "peers/web.html".
        seconds: How long to wait.

    Raises:
        BrowserError: There is no browser, it ended, or no answer came in time.
    """
    if BROWSER is None:
        raise BrowserError("there is no Chromium here: apt-get install chromium")
    answers: queue.Queue[bytes] = queue.Queue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, folders, answers))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
            process = subprocess.Popen(
                [*command, f"http://127.0.0.1:{server.server_port}/{page}"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                return json.loads(_wait(answers, process, seconds))
            finally:
                process.terminate()
                process.wait()
    finally:
        server.shutdown()
        server.server_close()


def browser_version() -> str:
    """Return the name and version of the browser, as "Chromium 150.0.7871.100"."""
    assert BROWSER is not None
    told = subprocess.run([BROWSER, "--version"], capture_output=True, text=True, check=True).stdout
    return " ".join(told.split()[:2])


def _wait(answers: queue.Queue[bytes], process: subprocess.Popen[bytes], seconds: float) -> bytes:
    for _ in range(max(int(seconds), 1)):
        try:
            return answers.get(timeout=1.0)
        except queue.Empty:
            if process.poll() is not None:
                raise BrowserError(f"Chromium ended with status {process.returncode}") from None
    raise BrowserError(f"the page sent no answer in {seconds:.0f} s")


class _Handler(SimpleHTTPRequestHandler):
    """Serves files of the folders, and takes the answer."""

    def __init__(self, folders: Mapping[str, Path], answers: queue.Queue[bytes], *given: Any) -> None:
        self._folders, self._answers = folders, answers
        super().__init__(*given)

    def translate_path(self, path: str) -> str:
        """Return the file that a path names; one that does not exist for a path outside the folders."""
        first, _, rest = path.split("?")[0].lstrip("/").partition("/")
        folder = self._folders.get(first)
        file = (folder / rest).resolve() if folder else None
        inside = file is not None and folder is not None and file.is_relative_to(folder.resolve())
        return str(file) if inside else ""

    def do_POST(self) -> None:
        """Take the answer."""
        self._answers.put(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def end_headers(self) -> None:
        """Isolate the page from other origins."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""
