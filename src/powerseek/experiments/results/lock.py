"""One sweep per results directory, and who holds it.

The operating system holds the lock on a folder (flock): it ends with its process, however that
ends. Object stores have no locks: there the holder says every `BEAT` seconds that it is still
there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import getpass
import json
import os
import secrets
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from powerseek.errors import InvalidInput
from powerseek.experiments import layout
from powerseek.experiments.results.files import StoreError, guarded_results_file
from powerseek.experiments.results.mirror import Mirror

BEAT, DEAD = 30.0, 150.0
"""Seconds between signs of life, and without one until a holder counts as dead."""
SETTLE = 1.0
"""Seconds until of two who write at once both read the same."""
NO_LOCKS = "{}: its file system has no locks: see that no other sweep runs there"
TAKEN_OVER = "{}: taken over from {}, which ended without a word"
Warn = Callable[[str], None]


@contextlib.contextmanager
def locked_folder(out: Path, warn: Warn) -> Iterator[None]:
    """Hold a folder; afterwards only what was there or was written within is left.

    Args:
        out: The results directory; made where it is absent.
        warn: Is told of a holder that died, and where there are no locks.

    Raises:
        InvalidInput: Another process holds it.
        StoreError: Not writable.
    """
    path = out / layout.LOCK
    with guarded_results_file(path):
        made = [folder for folder in (path.parent, out) if not folder.exists()]
        is_folder = out in made or out.is_dir()
    if not is_folder:
        yield  # refused by whoever opens it
        return
    try:
        with guarded_results_file(path):
            file = _open_locked(path, out, warn)
        with file:
            try:
                if left := _spoken(file.read()):
                    warn(TAKEN_OVER.format(out, left))
                file.seek(0)
                file.truncate()
                with guarded_results_file(path):
                    file.write(_holder())
                    file.flush()
                yield
            finally:
                path.unlink(missing_ok=True)
    finally:
        with contextlib.suppress(OSError):  # in use
            for folder in made:
                folder.rmdir()


def check_unlocked(out: Path) -> None:
    """Refuse a folder that another process holds; nothing is written.

    Raises:
        InvalidInput: Another process holds it.
    """
    try:
        opened = os.open(out / layout.LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return  # nobody holds it, or whoever opens it is told why it cannot be
    with os.fdopen(opened, encoding="utf-8", errors="replace") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _taken(str(out), file.read()) from None
        except OSError:
            return  # no locks here


def _open_locked(path: Path, out: Path, warn: Warn) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        file = os.fdopen(opened, "r+", encoding="utf-8", errors="replace")
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            file.close()
            raise OSError(errno.EINVAL, "not a file")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            held = file.read()
            file.close()
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise _taken(str(out), held) from None
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
            warn(NO_LOCKS.format(out))
            return path.open("w+")
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # its holder removed it before we had it


@contextlib.contextmanager
def locked_mirror(mirror: Mirror, warn: Warn) -> Iterator[None]:
    """Hold results elsewhere; see `locked_folder`.

    Raises:
        InvalidInput: Another process holds them.
        StoreError: Not reachable or not writable.
    """
    mark = f"{layout.LOCK}-{secrets.token_hex(4)}"
    path, ours = mirror.folder / layout.LOCK, _holder()
    _send(mirror, mark, ours)  # what the time is there
    marks = [mark]
    try:
        there = mirror.listing(layout.INTERNALS)
        now = there.get(mark, (0, None))[1]
        age = {name: now - seen for name, (_, seen) in there.items() if now and seen}
        marks += [n for n in age if n.startswith(f"{layout.LOCK}-") and age[n] > DEAD * 1e9]
        held = _fetched(mirror, layout.LOCK)
        if held:
            if age.get(layout.LOCK, 0) < DEAD * 1e9:
                raise _taken(mirror.uri, held)
            warn(TAKEN_OVER.format(mirror.uri, _spoken(held)))
        _send(mirror, layout.LOCK, ours)
    finally:
        mirror.remove(marks)
        (mirror.folder / mark).unlink(missing_ok=True)
    time.sleep(SETTLE)
    if (held := _fetched(mirror, layout.LOCK)) != ours:
        raise _taken(mirror.uri, held)
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT):
            with contextlib.suppress(StoreError):
                _send(mirror, layout.LOCK, ours)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        mirror.remove([layout.LOCK])
        path.unlink(missing_ok=True)


def _send(mirror: Mirror, name: str, text: str) -> None:
    path = mirror.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    mirror.send([name])


def _fetched(mirror: Mirror, name: str) -> str:
    mirror.fetch([name])
    path = mirror.folder / name
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _holder() -> str:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    held: dict[str, Any] = {
        "user": getpass.getuser(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
    }
    return json.dumps({**held, "since": now, "sweep": secrets.token_hex(4)}) + "\n"


def _spoken(text: str) -> str:
    """A holder in words; "" where nobody is named."""
    try:
        held = json.loads(text)
        return "{user} on {host} (process {pid}, since {since})".format(**held)
    except (ValueError, TypeError, LookupError):
        return text.strip()[:80] and "a process that left no name"


def _taken(where: str, held: str) -> InvalidInput:
    allowed = "a directory that no other sweep is writing"
    by = _spoken(held) or "a process that is just beginning"
    return InvalidInput("--out", where, allowed, f"It is held by {by}. Wait, or stop that one.")
