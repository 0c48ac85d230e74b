"""Event files that are replaced whole, so that TensorBoard never shows half of one or an old one.

TensorBoard follows a run's folder: it reads each file once, from its start on, and goes on to a
file whose name sorts after it. So a run is said again in a new file with a later name, moved into
place when it is complete, and the old one is emptied. (Were it removed at once, TensorBoard's
slower loader, which opens files anew each time, would wait for it for ever.) What was read before
is dropped: by the start of a session that stands first in every file, or because a tag's steps
begin again. For the latter a tag's first step may fall but never rise.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

PREFIX = "events.out.tfevents"
FOLLOWED = 600.0
"""Seconds within which TensorBoard has surely looked at a run again."""
_HALF = ".half"


def encoded(events: Iterable[Event]) -> bytes:
    """Events as they stand in a file."""
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for event in events:
        writer.write(event.SerializeToString())
    return buffer.getvalue()


def beginning(wall_time: float) -> list[Event]:
    """What a file starts with: its format, and that all said before in its run is void."""
    start = SessionLog(status=SessionLog.START)
    return [
        Event(wall_time=wall_time, file_version="brain.Event:2"),
        Event(wall_time=wall_time, session_log=start),
    ]


def scalars(step: int, values: Mapping[str, float], wall_time: float) -> Event:
    """One point of each curve."""
    shown = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    return Event(wall_time=wall_time, step=step, summary=Summary(value=shown))


def replace_run(folder: Path, made_of: str, content: bytes) -> Path:
    """Make `content` all that a run's folder says; readers see it whole or not at all.

    Args:
        folder: Of the run.
        made_of: What the content was made of, as a short hash: see `says`.
        content: Encoded events, from `beginning` on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = _files(folder)
    stamp = max([time.time_ns(), *(_stamp(path) + 1 for path in before)])
    path = folder / f"{PREFIX}.{stamp:019d}.{made_of}"
    half = folder / _HALF
    half.write_bytes(content)
    os.replace(half, path)
    void(before)
    return path


def void(files: Iterable[Path]) -> None:
    """Empty event files; remove those that have been empty for long enough."""
    for path in files:
        with contextlib.suppress(FileNotFoundError):
            found = path.stat()
            if found.st_size:
                os.truncate(path, 0)
            elif time.time() - found.st_mtime > FOLLOWED:
                path.unlink()


def says(folder: Path, made_of: str) -> bool:
    """Whether a run's folder says what was made of this and nothing else; half a file is removed.

    Raises:
        OSError: The folder cannot be changed.
    """
    (folder / _HALF).unlink(missing_ok=True)
    full = [path for path in _files(folder) if path.stat().st_size]
    return [path.name.rpartition(".")[2] for path in full] == [made_of]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{PREFIX}.*"))


def _stamp(path: Path) -> int:
    stamp = path.name.removeprefix(f"{PREFIX}.").partition(".")[0]
    return int(stamp) if stamp.isdecimal() else 0
