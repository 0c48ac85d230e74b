"""Recorded episodes beside the results: one file of plain JSON values a trial."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from powerseek.experiments import checksums, layout
from powerseek.experiments.results.files import keep_bytes

FORM = 1
Picture: TypeAlias = tuple[str, str]
"""The rows of a board, a character a square, and what is written below; or no board."""
_COMMENTED, _HEADER = b"\x10", 10  # RFC 1952: the flag of a comment, and bytes before it
_LARGEST = 32_000_000  # characters: no recording of ours comes near


def recording_path(out: Path, trial: str) -> Path:
    """Path of the recording of the trial with this key."""
    return out / layout.REPLAYS / f"{trial}.json.gz"


def write_recording(out: Path, trial: str, held: Mapping[str, Any]) -> Path:
    """Keep a recording at `recording_path`, all or nothing.

    Args:
        out: Results directory.
        trial: Key of its trial.
        held: What `powerseek.experiments.sweep.recording.record_episodes` gives.

    Raises:
        DiskFull: No space is left.
        StoreError: Not writable.
    """
    told = {"trial": trial, **held}
    text = json.dumps(told, separators=(",", ":"), allow_nan=False)
    # No time in the header: the same recording is the same file.
    data = gzip.compress(text.encode(), mtime=0)
    comment = checksums.BLANK.encode() + b"\0"
    data = data[:3] + _COMMENTED + data[4:_HEADER] + comment + data[_HEADER:]
    path = recording_path(out, trial)
    keep_bytes(path, data)
    return path


def read_recording(out: Path, trial: str) -> dict[str, Any]:
    """The recording of a trial as it lies there.

    Raises:
        OSError, EOFError, zlib.error, ValueError: It cannot be read, or is none of this trial.
    """
    data = checksums.sealed_bytes(
        recording_path(out, trial), checksums.checksummed(out / layout.MANIFEST)
    )
    with gzip.open(io.BytesIO(data)) as file:
        text = file.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise ValueError("too large for a recording")
    held = json.loads(text)
    if not isinstance(held, dict) or (held.get("form"), held.get("trial")) != (FORM, trial):
        raise ValueError("not a recording of this trial, or of another version")
    return held
