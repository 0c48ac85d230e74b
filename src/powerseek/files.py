"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

_SUFFIX = ".powerseek-part"
_TEMPORARY = f".{'[a-z0-9_]' * 8}{_SUFFIX}"
"""Pattern of the names of files that are being written: what `tempfile.mkstemp` makes."""


def write_atomically(path: Path, write: Callable[[Path], object], durable: bool = True) -> None:
    """Call `write` on a temporary neighbour of `path` and move it into place.

    A link that is there is replaced, never followed; the file before stays where this fails.

    Args:
        path: The file.
        write: Writes it, under the path that it is given.
        durable: Whether it must outlive a loss of power.

    Raises:
        OSError: It cannot be written, or a folder, a FIFO or a device is there.
    """
    if path.exists() and not path.is_file() and not path.is_symlink():
        raise OSError(errno.EINVAL, "what is there is no file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=_SUFFIX)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        if durable:
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Remove from a folder what killed processes left half written; nothing else, and no link."""
    for path in folder.glob(_TEMPORARY):
        if path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)
