"""Signals that ask a command to end: each ends it as Ctrl-C does."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from traceback import walk_tb
from types import FrameType
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C; what Slurm, Kubernetes and systemd send; a terminal that was closed."""

_asked: list[int] = []


def exit_code() -> int:
    """128 and the number of the signal that came, as shells say it: 143 after SIGTERM.

    It is not read off the exception: Ray raises another in its place.
    """
    return 128 + (_asked[-1] if _asked else signal.SIGINT)


@contextlib.contextmanager
def asked(last: bool = False) -> Iterator[None]:
    """Raise KeyboardInterrupt where a signal asks this process to end, once: it is ending then.

    A signal that it ignores stays ignored (nohup).

    Args:
        last: Whether this process ends afterwards: once asked, it goes on ignoring signals.
    """
    before = {number: signal.getsignal(number) for number in ENDING}
    _asked.clear()
    _answer([number for number in ENDING if before[number] is not signal.SIG_IGN], _ask)
    try:
        yield
    finally:
        if last and _asked:
            _answer(ENDING, signal.SIG_IGN)
        else:
            _restore(before)


@contextlib.contextmanager
def held_back() -> Iterator[Callable[[], None]]:
    """Ignore such signals, so that a second one cannot leave processes behind.

    Yields:
        Ignores them again, where something within has changed that.
    """

    def ignore() -> None:
        _answer(ENDING, signal.SIG_IGN)

    with unchanged():
        ignore()
        yield ignore


@contextlib.contextmanager
def unchanged() -> Iterator[None]:
    """Give back how this process answers these signals: Ray answers them in its own way."""
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        _restore(before)


def by_signal(error: BaseException) -> bool:
    """True if the answer to such a signal raised an error, or what it took the place of."""
    answers = [signal.getsignal(number) for number in ENDING]
    if isinstance(error, KeyboardInterrupt) and signal.default_int_handler in answers:
        return True
    codes = {getattr(answer, "__code__", None) for answer in answers}
    raised: BaseException | None = error
    while raised is not None:
        if any(frame.f_code in codes for frame, _ in walk_tb(raised.__traceback__)):
            return True
        raised = raised.__context__
    return False


def _ask(number: int, frame: FrameType | None) -> None:
    if not _asked:
        _asked.append(number)
        raise KeyboardInterrupt(signal.Signals(number).name)


def _answer(numbers: Sequence[int], handler: Any) -> None:
    with contextlib.suppress(ValueError):  # not the main thread: no signal arrives here
        for number in numbers:
            signal.signal(number, handler)


def _restore(before: Mapping[signal.Signals, Any]) -> None:
    for number, handler in before.items():
        if handler is not None:  # None: not set from Python, so it cannot be set again
            _answer([number], handler)
