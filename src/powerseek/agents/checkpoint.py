"""Checkpoints of a training: where they lie, when they are due, and what is read back.

A checkpoint is a zip of parts (weights, arrays, JSON) and a card that says what they are of.
Every part carries a checksum, so a file that was cut short or damaged is known for one.
"""

from __future__ import annotations

import io
import json
import os
import platform
import tempfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 1
CARD = "checkpoint.json"
_UNREADABLE = (OSError, KeyError, ValueError, EOFError, RuntimeError)
_LIBRARIES = ("torch", "numpy", "numba", "stable-baselines3", "sb3-contrib")


class CheckpointIgnored(UserWarning):
    """A checkpoint cannot be gone on from; training starts at zero."""


def _warn(text: str) -> None:
    warnings.warn(text, CheckpointIgnored, stacklevel=2)


def _nothing() -> dict[str, Any]:
    return {}


def _forget(kept: Any) -> None:
    return None


@dataclass
class Checkpoint:
    """One training's checkpoint: a single file, replaced as a whole.

    Attributes:
        path: The file.
        every: Seconds of training between checkpoints, >= 0; 0 keeps one after every update.
        about: What else must be equal for a kept checkpoint to fit; plain JSON values.
        keep: Gives what the caller wants kept beside the training: plain JSON values, of which
            floats come back bit for bit.
        take: Takes that back when training goes on from a checkpoint; it changes nothing where
            it raises.
        caution: Is told, in a line, why a checkpoint that is there is ignored.
    """

    path: Path
    every: float = 30.0
    about: Mapping[str, Any] = field(default_factory=dict)
    keep: Callable[[], Any] = _nothing
    take: Callable[[Any], None] = _forget
    caution: Callable[[str], None] = _warn
    _last: float = field(default_factory=time.monotonic, repr=False)

    @property
    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self._last >= self.every

    def write(self, of: Mapping[str, Any], parts: Mapping[str, bytes]) -> None:
        """Keep `parts` of the training that `of` (plain JSON values) says.

        Where that cannot be written the one before stays, and training goes on with a caution.
        """
        card = {"format": FORMAT, "versions": _versions(), "about": dict(self.about), **of}
        try:
            self._replace({CARD: json.dumps(card).encode(), **parts})
        except OSError as error:
            reason = error.strerror or str(error)
            self.caution(f"{self.path}: cannot be written: {reason}; an interruption costs more.")
        self._last = time.monotonic()

    def _replace(self, parts: Mapping[str, bytes]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                with zipfile.ZipFile(file, "w") as archive:
                    for part, content in parts.items():
                        archive.writestr(part, content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
        finally:
            Path(name).unlink(missing_ok=True)

    def read(self, of: Mapping[str, Any]) -> dict[str, bytes] | None:
        """The parts kept of that training; None, with a caution, where they do not fit it."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                parts = {name: archive.read(name) for name in archive.namelist()}
            held = json.loads(parts.pop(CARD))
        except FileNotFoundError:
            return None
        except (*_UNREADABLE, zipfile.BadZipFile, zlib.error) as error:
            self.ignore(f"cannot be read ({type(error).__name__}: {error})")
            return None
        card = {"format": FORMAT, "versions": _versions(), "about": dict(self.about), **of}
        other = _differences(json.loads(json.dumps(card)), held)
        if other:
            self.ignore(f"is of another training (different: {', '.join(other)})")
            return None
        return parts

    def ignore(self, why: str) -> None:
        """Say that the file is there and is not used."""
        self.caution(f"the checkpoint {self.path} {why}; this training starts at zero.")

    def remove(self) -> None:
        """Remove the file, if it is there."""
        self.path.unlink(missing_ok=True)


def arrays_to_bytes(arrays: Mapping[str, Any]) -> bytes:
    """Arrays by name, as NumPy's own format."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def arrays_from_bytes(content: bytes) -> dict[str, Any]:
    """What `arrays_to_bytes` wrote; objects, which could run code, are refused.

    Raises:
        ValueError: Not arrays of plain numbers.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as held:
        return dict(held)


def _differences(here: Any, held: Any) -> list[str]:
    if not isinstance(held, dict):
        return ["everything"]
    return sorted(name for name in {*here, *held} if here.get(name) != held.get(name))


def _versions() -> dict[str, str]:
    """What the same numbers depend on."""
    from powerseek import __version__

    found = {"powerseek": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
