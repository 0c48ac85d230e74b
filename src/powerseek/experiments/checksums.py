"""Checksums within files: what is read is what was written, to the last bit.

A file holds the SHA-256 of all its other bytes where its format has room for a remark: a key of
JSON, a comment of YAML, gzip and zip, the metadata of parquet. It is written, moved and copied with
the file, so the two never disagree after a crash, and folders of several machines may be merged.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import stat
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

BLANK = f"<sha256 {'0' * 64} sha256>"
"""Room that the writer of a file leaves for its checksum; `seal_file` fills it in."""
_BEGIN, _END = b"<sha256 ", b" sha256>"
_KINDS = {"p": "a FIFO", "d": "a folder", "s": "a socket", "c": "a device", "b": "a device"}


Count: TypeAlias = Annotated[int, Field(ge=0, lt=2**63)]


class Record(BaseModel):
    """Shape of a JSON file; what it holds beside that is not looked at."""

    model_config = ConfigDict(strict=True)


class Altered(ValueError):
    """A file is not as it was written."""


def seal_file(path: Path) -> None:
    """Fill in the last `BLANK` of a file; one without stays as it is."""
    if not path.stat().st_size:
        return
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.rfind(BLANK.encode())
        if at >= 0:
            file.seek(at)
            file.write(_checksum(data, at))


def verify(data: bytes | mmap.mmap, required: bool = False) -> bool:
    """True if the bytes of a file agree with the checksum among them, False if there is none.

    Args:
        data: All its bytes.
        required: Whether it was written with a checksum.

    Raises:
        Altered: They do not agree, or the checksum is gone.
    """
    begin, end = data.rfind(_BEGIN), data.rfind(_END)
    if begin < 0 and end < 0:
        if required:
            raise Altered("its checksum is gone: edited, or written by another program")
        return False
    if begin < 0 or data[begin : begin + len(BLANK)] != _checksum(data, begin):
        raise Altered("its checksum does not match: damaged, or edited since it was written")
    return True


def sealed_bytes(path: Path, required: bool | None = False) -> bytes:
    """The bytes of a file, seen to be those that were written.

    Args:
        path: The file.
        required: See `verify`; None where its checksum is not looked at.

    Raises:
        OSError: It cannot be read, or is a folder, a FIFO, a device.
        Altered: It is not as it was written.
    """
    _check_kind(path)
    data = path.read_bytes()
    if required is not None:
        verify(data, required)
    return data


def check(path: Path, required: bool = False) -> bool:
    """`verify` a file of any size; fails as `sealed_bytes` does."""
    _check_kind(path)
    if not path.stat().st_size:
        return verify(b"", required)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return verify(data, required)


def results_fingerprint(path: Path) -> str:
    """SHA-256 of a file as it lies there; empty where none can be read."""
    try:
        _check_kind(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def sealed_record(path: Path, model: type[Record], required: bool | None = False) -> dict[str, Any]:
    """The mapping that a JSON file holds, seen to have the shape of a model, as plain values.

    Args:
        path: The file.
        model: The shape.
        required: See `sealed_bytes`.

    Returns:
        The mapping; empty where there is no such file.

    Raises:
        OSError: See `sealed_bytes`.
        ValueError: It is not as it was written, not JSON, or of another shape: in one line.
    """
    try:
        held: dict[str, Any] = from_json(sealed_bytes(path, required))
        model.model_validate(held)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from None
    return held


def unchecked_record(path: Path) -> dict[str, Any]:
    """The mapping that a JSON file holds, whatever it says; empty where it holds none."""
    try:
        held = from_json(sealed_bytes(path, None))
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}


def checksummed(manifest: Path) -> bool:
    """True if all files of the results directory of this manifest were written with a checksum."""
    return unchecked_record(manifest).get("checksums") is True


def _checksum(data: bytes | mmap.mmap, at: int) -> bytes:
    """The checksum of all but itself, which lies `at` a place, as it stands there."""
    with memoryview(data) as view, view[:at] as before, view[at + len(BLANK) :] as after:
        found = hashlib.sha256(before)
        found.update(after)
    return BLANK.replace("0" * 64, found.hexdigest()).encode()


def _check_kind(path: Path) -> None:
    """Refuse what would be waited for, or is no file."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.filemode(mode)[0], "no file")
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", str(path))
