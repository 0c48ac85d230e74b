"""Checkpoints of a training: where they lie, when they are due, and what is read back.

A checkpoint is a zip: the state of a training (arrays, bytes, plain values), what its caller keeps
beside it, and a card that says what it is of. Every part carries a checksum, so a file that was
cut short or damaged is known for one.
"""

from __future__ import annotations

import io
import json
import platform
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from powerseek.agents.archive import opened, read_arrays
from powerseek.files import write_atomically

FORMAT = 2
CARD, ARRAYS, STATE, KEPT = "checkpoint.json", "arrays.npz", "state.json", "kept.json"
_ARRAY, _BYTES = "array/", "bytes/"
_LIBRARIES = ("torch", "numpy", "numba", "stable-baselines3", "sb3-contrib")


class CheckpointIgnored(UserWarning):
    """A checkpoint cannot be gone on from; training starts at zero."""


def _warn(text: str) -> None:
    warnings.warn(text, CheckpointIgnored, stacklevel=2)


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
    keep: Callable[[], Any] = dict
    take: Callable[[Any], None] = lambda kept: None
    caution: Callable[[str], None] = _warn
    _last: float = field(default_factory=time.monotonic, repr=False)
    _held: Any = field(default=None, repr=False)

    @property
    def due(self) -> bool:
        """True if it is time for the next one."""
        return time.monotonic() - self._last >= self.every

    def write(self, of: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Keep the state of the training that `of` (plain JSON values) says.

        Args:
            of: What is trained.
            state: Arrays, bytes and plain JSON values, by name; mappings of them likewise.

        Where that cannot be written the one before stays, and training goes on with a caution.
        """
        card = {"format": FORMAT, "versions": _versions(), "about": dict(self.about), **of}
        try:
            kept = {CARD: _json(card), KEPT: _json(self.keep())}
            parts = {**kept, **_packed(state)}
            write_atomically(self.path, lambda temporary: _write_zip(temporary, parts))
        except OSError as error:
            reason = error.strerror or str(error)
            self.caution(f"{self.path}: cannot be written: {reason}; an interruption costs more.")
        self._last = time.monotonic()

    def read(self, of: Mapping[str, Any]) -> dict[str, Any] | None:
        """The state kept of that training; None, with a caution, where it does not fit it."""
        try:
            with opened(self.path) as archive:
                parts = {name: archive.read(name) for name in archive.namelist()}
            held, kept = json.loads(parts.pop(CARD)), json.loads(parts.pop(KEPT))
            state = _unpacked(parts)
        except FileNotFoundError:
            return None
        except Exception as error:  # whatever a strange file does, zero is right
            why = str(error).partition("\n")[0]
            self.ignore(f"cannot be read ({type(error).__name__}: {why})")
            return None
        card = {"format": FORMAT, "versions": _versions(), "about": dict(self.about), **of}
        other = _differences(json.loads(json.dumps(card)), held)
        if other:
            self.ignore(f"is of another training (different: {', '.join(other)})")
            return None
        self._held = kept
        return state

    def restored(self) -> None:
        """Give the caller back what it kept beside the state that was read last."""
        self.take(self._held)

    def ignore(self, why: str) -> None:
        """Say that the file is there and is not used."""
        self.caution(f"the checkpoint {self.path} {why}; this training starts at zero.")

    def remove(self) -> None:
        """Remove the file, if it is there."""
        self.path.unlink(missing_ok=True)


def _write_zip(path: Path, parts: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for part, content in parts.items():
            archive.writestr(part, content)


def _packed(state: Mapping[str, Any]) -> dict[str, bytes]:
    """The parts of a zip that hold a state."""
    arrays: dict[str, Any] = {}
    raw: dict[str, bytes] = {}
    plain: dict[str, Any] = {}
    for name, value in _flat(state):
        if isinstance(value, np.ndarray):
            arrays[f"{_ARRAY}{name}"] = value
        elif isinstance(value, bytes):
            raw[f"{_BYTES}{name}"] = value
        else:
            plain[name] = value
    file = io.BytesIO()
    np.savez(file, **arrays)
    return {ARRAYS: file.getvalue(), STATE: _json(plain), **raw}


def _unpacked(parts: Mapping[str, bytes]) -> dict[str, Any]:
    """The state that `_packed` made parts of."""
    arrays = read_arrays(parts[ARRAYS])
    flat = {name.removeprefix(_ARRAY): array for name, array in arrays.items()}
    flat |= {k.removeprefix(_BYTES): v for k, v in parts.items() if k.startswith(_BYTES)}
    state: dict[str, Any] = {}
    for path, value in {**json.loads(parts[STATE]), **flat}.items():
        *folders, name = path.split("/")
        place = state
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = value
    return state


def _flat(state: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in state.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}/")
        else:
            yield f"{above}{name}", value


def _json(value: Any) -> bytes:
    """NumPy's numbers as Python's: floats come back bit for bit."""
    return json.dumps(value, default=lambda number: number.item()).encode()


def _differences(here: Any, held: Any) -> list[str]:
    if not isinstance(held, dict):
        return ["everything"]
    return sorted(name for name in {*here, *held} if here.get(name) != held.get(name))


def _versions() -> dict[str, str]:
    """Versions on which the same numbers depend."""
    from powerseek import __version__

    versions = {"powerseek": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions
