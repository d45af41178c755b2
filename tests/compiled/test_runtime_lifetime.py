"""Parsers at the end of the process, over forks and in other processes; each in a process of its own."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_package import write_package

from runtime_py import Parser
from runtime_py.errors import ParserClosedError

_ROOT = Path(__file__).parents[2]
_START = """
import atexit, os, pickle, signal, sys, threading, time
from runtime_py import Parser
from runtime_py.errors import ParserClosedError
from runtime_py.execute import live_session
from runtime_py.execute.entry import EntryFunction

path, count = sys.argv[1], int(sys.argv[2])
parser = Parser.load(path, threads=count)
expected = parser("one two three")
done = 0

def parse_on():
    global done
    while True:
        assert parser("one two three") == expected
        done += 1

def start(function):
    threading.Thread(target=function, daemon=True).start()

def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)

def fork(function):
    child = os.fork()
    if child == 0:
        function()
        sys.exit(0)  # as a program ends: Python lets everything go
    end = time.monotonic() + 60
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.001)
    return os.waitstatus_to_exitcode(ended[1])

def parse_right():
    assert parser("one two three") == expected
"""


def _run(body: str, package: Path, threads: int = 1) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _START + body, str(package), str(threads)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, cwd=_ROOT)


def _assert_quiet(done: subprocess.CompletedProcess[str], out: str = "") -> None:
    assert (done.returncode, done.stdout, done.stderr) == (0, out, "")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_process_ends_while_daemon_threads_parse(tiny_path: Path, threads: int) -> None:
    body = "[start(parse_on) for _ in range(3)]; wait_for(lambda: done > 20)"
    _assert_quiet(_run(body, tiny_path, threads))


def test_a_process_ends_while_daemon_threads_load(tiny_path: Path) -> None:
    body = """
def load_on():
    global done
    while True:
        Parser.load(path).close()
        done += 1
start(load_on); wait_for(lambda: done > 3)
"""
    _assert_quiet(_run(body, tiny_path))


def test_exit_handlers_are_told_that_the_parser_is_closed_and_may_load_another(tiny_path: Path) -> None:
    # What is registered before the parser's own handler runs after it.
    body = """
def at_end():
    try:
        parser("a")
    except ParserClosedError:
        print("closed")
    print(Parser.load(path)("one two three") == expected, flush=True)
atexit.unregister(live_session._close_all); atexit.register(at_end); atexit.register(live_session._close_all)
"""
    _assert_quiet(_run(body, tiny_path), "closed\nTrue\n")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_fork_waits_for_the_call_that_is_under_way(tiny_path: Path, threads: int) -> None:
    body = """
inside, invoke = threading.Event(), EntryFunction.invoke
def slow(entry):  # the call of the thread ends when the main thread is about to fork, and not before
    if threading.current_thread() is not threading.main_thread():
        inside.set()
        wait_for(live_session._fork_lock.locked)
        time.sleep(0.05)
    invoke(entry)
EntryFunction.invoke = slow
start(parse_right)
assert inside.wait(60)
print(fork(parse_right))
parse_right()
"""
    _assert_quiet(_run(body, tiny_path, threads), "0\n")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_child_parses_and_ends_while_the_parent_parses_on(tiny_path: Path, threads: int) -> None:
    body = "start(parse_on); wait_for(lambda: done > 5); print([fork(parse_right) for _ in range(6)])"
    _assert_quiet(_run(body, tiny_path, threads), "[0, 0, 0, 0, 0, 0]\n")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_child_that_never_parses_ends_too(tiny_path: Path, threads: int) -> None:
    _assert_quiet(_run("print(fork(lambda: None)); parse_right()", tiny_path, threads), "0\n")


def test_a_child_may_fork_and_close_and_load(tiny_path: Path) -> None:
    body = """
def work():
    assert fork(parse_right) == 0
    parser.close()
    other = Parser.load(path, threads=2)
    assert other("one two three") == expected
    assert fork(lambda: other("a")) == 0
print(fork(work)); parse_right()
"""
    _assert_quiet(_run(body, tiny_path), "0\n")


def test_forks_while_another_thread_loads(tiny_path: Path) -> None:
    body = """
def load_on():
    global done
    while True:
        Parser.load(path)("a")
        done += 1
def load_once():
    assert Parser.load(path)("one two three") == expected
start(load_on); wait_for(lambda: done > 3)
print([fork(load_once) for _ in range(6)])
"""
    _assert_quiet(_run(body, tiny_path), "[0, 0, 0, 0, 0, 0]\n")


def test_a_fork_leaves_results_as_they_are(tiny_path: Path) -> None:
    body = """
import numpy as np
texts = [b"a b c d", b"one two", b""]
kept = [parser.logits(text) for text in texts] + parser.logits_batch(texts)
copies = [[array.copy() for array in logits[:3]] for logits in kept]
def compare():
    assert all(np.array_equal(a, b) for logits, own in zip(kept, copies) for a, b in zip(logits[:3], own))
print(fork(compare)); compare()
parser.close(); compare()
"""
    _assert_quiet(_run(body, tiny_path, 2), "0\n")


def test_multiprocessing_forks_workers_with_the_parser(tiny_path: Path) -> None:
    body = """
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(parser, ["one two three"] * 8) == [expected] * 8)
"""
    _assert_quiet(_run(body, tiny_path), "True\n")


def test_workers_that_share_nothing_get_the_parser_pickled(tiny_path: Path, tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(
        "import multiprocessing, sys\n"
        "from runtime_py import Parser\n"
        "if __name__ == '__main__':\n"
        "    parser = Parser.load(sys.argv[1])\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        assert pool.map(parser, ['a b', 'c']) == [parser('a b'), parser('c')]\n"
    )
    environment = {"PYTHONPATH": str(_ROOT), "PATH": ""}
    command = [sys.executable, str(tmp_path / "work.py"), str(tiny_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240, env=environment)
    _assert_quiet(done)


def test_a_pickled_parser_is_loaded_again_with_the_same_arguments(
    tiny_code: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_package(tmp_path / "own.pqrnn", tiny_code)
    monkeypatch.chdir(tmp_path)
    with Parser.load("own.pqrnn", on_long="truncate", threads=2, variant="generic", verify=False) as parser:
        pickled = pickle.dumps(parser)
        monkeypatch.chdir("/")  # the path was a relative one
        for other in (pickle.loads(pickled), copy.copy(parser), copy.deepcopy(parser)):
            with other:
                assert other is not parser
                assert (other.on_long, other.threads, other.variant.target) == ("truncate", 2, "generic")
                assert other("x " * 100) == parser("x " * 100)
        assert not parser.closed
    with pytest.raises(ParserClosedError, match="cannot be pickled"):
        pickle.dumps(parser)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_within_a_call_may_fork_and_close(tiny_path: Path, threads: int) -> None:
    body = """
invoke, forked = EntryFunction.invoke, []
def interrupted(entry):
    os.kill(os.getpid(), signal.SIGUSR1)
    invoke(entry)
def in_child():
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    assert Parser.load(path)("one two three") == expected
    os._exit(0)  # as multiprocessing ends a child: the runtime would name what the interrupted call still has
def handle(*_):
    begin = time.monotonic()
    forked.append(fork(in_child))
    assert time.monotonic() - begin < 9  # no waiting for the call that is interrupted
    if len(forked) == 3:
        parser.close()
EntryFunction.invoke = interrupted
signal.signal(signal.SIGUSR1, handle)
for _ in range(3):
    parse_right()
print(forked, parser.closed)
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
try:
    parser("a")
except ParserClosedError:
    print("closed")
"""
    _assert_quiet(_run(body, tiny_path, threads), "[0, 0, 0] True\nclosed\n")


@pytest.mark.parametrize("close", ["parser.close()", "del parser"])
def test_a_parser_with_threads_of_its_own_goes_right_after_a_call(tiny_path: Path, close: str) -> None:
    body = f"""
import faulthandler
faulthandler.dump_traceback_later(120, exit=True)
for _ in range(100):
    parser = Parser.load(path, threads=2)
    parser("one two three")
    {close}
"""
    _assert_quiet(_run(body, tiny_path, 2))
