"""Zips of models and checkpoints, which may come from anybody: bounded before they are unpacked.

Parts are stored as they are, so that none is larger than its file; nothing in one is executed.
"""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Sequence
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

_ENCRYPTED, _LINK = 0x1, stat.S_IFLNK


def opened(source: str | Path | bytes) -> zipfile.ZipFile:
    """Open a zip of which every part may be read.

    Raises:
        OSError: There is no such file.
        ValueError: It is no regular file, no zip, or one whose parts are encrypted, compressed,
            larger than the file, named twice, or named so that unpacking would leave the folder.
    """
    if isinstance(source, bytes):
        size, archive = len(source), zipfile.ZipFile(io.BytesIO(source))
    else:
        status = Path(source).stat()
        # Whoever opens a pipe waits for a writer.
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        size, archive = status.st_size, zipfile.ZipFile(source)
    _check(archive.infolist(), size)
    return archive


def _check(parts: Sequence[zipfile.ZipInfo], size: int) -> None:
    """Refuse parts that cannot be read, or not safely."""
    for part in parts:
        path = PurePosixPath(part.filename.replace("\\", "/"))
        wrong = {
            "is encrypted": bool(part.flag_bits & _ENCRYPTED),
            "is compressed, where models are stored as they are": part.compress_type
            != zipfile.ZIP_STORED,
            "is a link": stat.S_IFMT(part.external_attr >> 16) == _LINK,
            "would leave the folder": path.is_absolute() or ".." in path.parts,
        }
        for words in (words for words, holds in wrong.items() if holds):
            raise ValueError(f"its part {part.filename!r} {words}")
    if len({part.filename for part in parts}) < len(parts):
        raise ValueError("it has two parts of one name")
    if sum(part.file_size for part in parts) > size:
        raise ValueError("its parts are larger than the file")


def read_arrays(content: bytes) -> dict[str, Any]:
    """Arrays of an ``.npz`` by name, each as large as its header says; no objects.

    Raises:
        Exception: Of whatever kind: it is no such file.
    """
    with opened(content) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    return {name.removesuffix(".npy"): _array(part) for name, part in parts.items()}


def _array(content: bytes) -> Any:
    stream, form = io.BytesIO(content), np.lib.format
    # Later versions differ in how they encode names, not in what they say of sizes.
    first = form.read_magic(stream) == (1, 0)
    header = form.read_array_header_1_0 if first else form.read_array_header_2_0
    shape, _, dtype = header(stream)
    if dtype.hasobject or prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError("an array of objects, or of another size than its header says")
    return form.read_array(io.BytesIO(content), allow_pickle=False)
