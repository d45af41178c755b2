"""Signals at the right moment: never in the middle of a change that has to be whole, and in a team in all at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any

from pqrnn.distributed import any_process, world_size

_STOPS = ("SIGINT", "SIGTERM", "SIGHUP")
_FINISH = "SIGUSR1"


class Signals(AbstractContextManager["Signals"]):
    """What signals ask of a run, from entering the block to leaving it.

    SIGINT, SIGTERM and SIGHUP do what they did before (those that Python does not handle keep their effect), but not
    while `hold` lasts. In a team they wait for `poll`, which stops every process after the same step. SIGUSR1 asks the
    run to end early. Other threads than the main one get no signals: there everything stays as it is.
    """

    def __init__(self) -> None:
        """Listen to nothing yet."""
        self._before: dict[int, Any] = {}
        self._held: list[int] = []
        self._holding = False
        self._finish = False

    def __enter__(self) -> Signals:
        """Take the handlers over."""
        if threading.current_thread() is threading.main_thread():
            for name in (*_STOPS, _FINISH):
                number = getattr(signal, name, None)
                if number is not None and (name == _FINISH or callable(signal.getsignal(number))):
                    self._before[number] = signal.getsignal(number)
                    signal.signal(number, self._note)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Give them back; a stop that nobody obeyed yet is obeyed now, unless an error ends the run anyway."""
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        if kind is None:
            self._obey()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold stops back until the block is done. A block that fails is left half done: its error goes first."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        if world_size() == 1:
            self._obey()

    def poll(self) -> bool:
        """Say whether the run is to end early. All processes of a team have to call it after the same step.

        Raises:
            KeyboardInterrupt: One of the team was told to stop.
        """
        stop, finish = any_process(bool(self._held), self._finish)
        if stop:
            self._obey()
            raise KeyboardInterrupt
        return finish

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == getattr(signal, _FINISH, None):
            self._finish = True
        elif self._holding or world_size() > 1:
            self._held.append(number)
        else:
            self._before[number](number, frame)

    def _obey(self) -> None:
        """Do what the first signal that was held back did before."""
        if self._held:
            number = self._held[0]
            self._held.clear()
            self._before[number](number, None)
