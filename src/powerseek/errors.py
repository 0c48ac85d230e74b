"""Errors that powerseek raises: one family, for callers to catch and the CLI to print."""

from __future__ import annotations

import reprlib
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from inspect import unwrap
from pathlib import Path
from traceback import walk_tb
from typing import Any

from powerseek.signals import by_signal


class PowerseekError(Exception):
    """Base of every error that powerseek raises on purpose."""


class InvalidInput(PowerseekError, ValueError):
    """A value a user gave is not allowed.

    Args:
        field: Name of the setting, as the user writes it (``gamma``, ``worlds[0].id``).
        value: What was given.
        allowed: What is allowed, in words or as a range.
        hint: Where possible, the line to write instead.
    """

    def __init__(self, field: str, value: object, allowed: str, hint: str = "") -> None:
        self.field, self.value, self.allowed, self.hint = field, value, allowed, hint
        text = f"{cut_text(field)}: got {shown(value)}; allowed: {allowed}"
        super().__init__(f"{text}. {hint}" if hint else text)

    def __reduce__(self) -> tuple[type[InvalidInput], tuple[str, object, str, str]]:
        """Pickle by arguments, so that the error survives the way back from a worker."""
        return type(self), (self.field, self.value, self.allowed, self.hint)


LONGEST = 400
"""Letters of a value in a message."""


class _Short(reprlib.Repr):
    """Values at a bounded length and depth, whatever they hold."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 16
        self.maxstring = self.maxother = LONGEST

    def repr_int(self, x: int, level: int) -> str:
        digits = int(x.bit_length() * 0.30103) + 1
        return repr(x) if digits < 40 else f"a number of {digits} digits"


def shown(value: object) -> str:
    """A value as Python writes it, in one line of at most `LONGEST` letters."""
    return cut_text(_Short().repr(value).replace("\n", " "))


def cut_text(text: str) -> str:
    """The beginning of a text, at most `LONGEST` letters."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def printable(text: str) -> str:
    """A text in which nothing steers a terminal or a page: U+FFFD stands for each such letter."""
    if text.isprintable():
        return text
    return "".join(_REPLACEMENT if _steers(letter) else letter for letter in text)


_REPLACEMENT = "\ufffd"


def _steers(letter: str) -> bool:
    """True of control characters, marks of direction and halves of pairs; not of line ends."""
    kind = unicodedata.category(letter)
    return letter not in "\n\t" and (kind[0] == "C" or kind in ("Zl", "Zp"))


class WorldError(PowerseekError):
    """A world broke its contract: a rule raised, a fact is NaN, no action is legal."""


class SweepStopped(PowerseekError):
    """A sweep ended before its last trial; finished trials are kept."""


class NotInstalled(PowerseekError, ImportError):
    """Raised by a plugin's module where a library that it needs is not installed.

    What it offers is then left out of every list without a word; whoever asks for it by name is
    told what to install.

    Args:
        library: The library that is missing.
        install: The command that installs it.
    """

    def __init__(self, library: str, install: str) -> None:
        self.library, self.install = library, install
        super().__init__(f"{library} is not installed. Write: {install}")


class ProcessLeft(PowerseekError):
    """Code of a plugin tried to end the process (`sys.exit`), or raised what no error is."""


@contextmanager
def contained() -> Iterator[None]:
    """Turn what a plugin raises beside errors into one; a signal still ends the process.

    Raises:
        ProcessLeft: SystemExit, KeyboardInterrupt or another BaseException was raised within.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception) or by_signal(error):
            raise
        *_, (frame, line) = walk_tb(error.__traceback__)
        place = f"{frame.f_code.co_qualname}, {Path(frame.f_code.co_filename).name} line {line}"
        words = " ".join(f"{type(error).__name__} {error}".split())
        raise ProcessLeft(f"{words} (in {place})") from error


LIBRARIES = (
    *("gymnasium", "importlib", "numba", "numpy", "pandas", "pyarrow", "sb3_contrib", "scipy"),
    *("stable_baselines3", "torch"),
)
"""Packages whose own lines are not where a reader would look first."""


def reason_of(error: BaseException, passed_over: Sequence[str] = LIBRARIES) -> str:
    """The exception's own words in one line, and the function, file and line that raised it.

    Args:
        error: The exception.
        passed_over: Packages whose lines are not named.
    """
    inner = error.__cause__ or error
    frames = [
        (frame.f_code, line)
        for frame, line in walk_tb(inner.__traceback__)
        if frame.f_globals.get("__name__", "").partition(".")[0] not in passed_over
    ]
    words = " ".join(f"{type(error).__name__}: {error}".split())
    if not frames or isinstance(error, ProcessLeft):  # which says itself where it was raised
        return words
    code, line = frames[-1]
    return f"{words} (in {code.co_qualname}, {Path(code.co_filename).name} line {line})"


def place_of(function: Any) -> str:
    """The name, file and first line of a function; "" of what has no code."""
    code = getattr(unwrap(function), "__code__", None)
    if code is None:
        return ""
    return f"{code.co_qualname}, {Path(code.co_filename).name} line {code.co_firstlineno}"
