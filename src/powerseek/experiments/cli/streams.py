"""Standard streams that outlast what they are connected to."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

IN_ASCII = str.maketrans({"·": "|", "…": "~"})
ASCII = "powerseek.ascii"
"""Name of this way to write what an encoding lacks."""
UNWRITTEN = 1
"""Exit code where standard output could not be written whole."""


@contextmanager
def lasting_streams() -> Iterator[None]:
    """Let work go on where output cannot be written or said in the encoding of its stream.

    Letters that the encoding lacks are written in ASCII. What a full disk or a reader that has gone
    does not take is lost; at the end one line says so, unless the reader went by itself (`head`).

    Raises:
        SystemExit: With `UNWRITTEN`, at the end of work that went well.
    """
    if sys.stdout is not sys.__stdout__ or sys.stderr is not sys.__stderr__:
        yield  # somebody listens from within this process
        return
    codecs.register_error(ASCII, _in_ascii)
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # closed: no file of ours may take its number
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            mode = "w" if descriptor else "r"
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    assert sys.stdout is not None
    assert sys.stderr is not None
    before, output = (sys.stdout, sys.stderr), _Lasting(1)
    sys.stdout, sys.stderr = output.over(sys.stdout), _Lasting(2).over(sys.stderr)
    ended = SystemExit(0)
    try:
        yield
    except SystemExit as ending:
        ended = ending
    finally:
        sys.stdout.flush()
        if output.lost and output.lost.errno != errno.EPIPE:
            print(f"error: standard output: {output.lost.strerror}", file=sys.stderr)
            ended.code = ended.code or UNWRITTEN
        sys.stderr.flush()
        sys.stdout, sys.stderr = before
    raise ended


class _Lasting(io.FileIO):
    """A file that takes everything, and keeps the first error of writing as `lost`."""

    lost: OSError | None = None

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.lost = self.lost or error
            return len(data)

    def over(self, stream: TextIO) -> TextIO:
        """Text written as to `stream`."""
        stream.flush()
        buffer = io.BufferedWriter(self)
        lines = self.isatty() or self.fileno() == 2
        return io.TextIOWrapper(buffer, stream.encoding, ASCII, line_buffering=lines)


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    words = error.object[error.start : error.end].translate(IN_ASCII)
    return words.encode("ascii", "backslashreplace").decode("ascii"), error.end
