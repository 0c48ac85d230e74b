"""Exact numbers beside the results: one file a setting, by a digest of it."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from powerseek.exact import Oracle
from powerseek.experiments import layout
from powerseek.experiments.results.files import keep
from powerseek.experiments.study.grid import Cell, canonical, digest

METHOD = 3
"""Part of every file's name: numbers of an older method are not read again."""

WORLD = ("world", "version", "params")
ARM = (*WORLD, "reward", "gamma", "time_limit", "power_weight")


def exact_setting(cell: Cell, names: tuple[str, ...]) -> str:
    """The setting of exact numbers: `WORLD` or `ARM` of a cell, as canonical JSON."""
    config = cell.config
    return canonical({name: config[name] for name in names})


def kept_oracle(cell: Cell, out: Path) -> Oracle | None:
    """The exact facts of the cell's setting, if they are kept already; nothing is computed."""
    arrays = read_exact(out, exact_setting(cell, WORLD))
    return None if arrays is None or "none" in arrays else Oracle.from_arrays(arrays)


def damaged_oracle(cell: Cell, out: Path) -> list[Path]:
    """The file of `kept_oracle`, where it is there and cannot be read."""
    setting = exact_setting(cell, WORLD)
    path = _path(out, setting)
    return [path] if path.is_file() and read_exact(out, setting) is None else []


def oracle_names(cell: Cell) -> tuple[str, ...]:
    """The files of a cell's exact facts and optimum, by their path below the results directory."""
    settings = (exact_setting(cell, names) for names in (WORLD, ARM))
    return tuple(_path(Path(), setting).as_posix() for setting in settings)


def read_exact(out: Path, setting: str) -> dict[str, Any] | None:
    """Read the file of a setting, by name; None where it is not there, whole and of it."""
    try:
        with _path(out, setting).open("rb") as file, np.load(file, allow_pickle=False) as held:
            arrays = dict(held)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    return arrays if str(arrays.pop("setting", "")) == setting else None


def keep_exact(out: Path, setting: str, arrays: Mapping[str, Any]) -> None:
    """Keep the exact numbers of a setting, all or nothing.

    Raises:
        DiskFull: No space is left.
        StoreError: Not writable.
    """
    path, whole = _path(out, setting), {**arrays, "setting": np.array(setting)}
    keep(path, lambda temporary: _write(temporary, whole))


def _path(out: Path, setting: str) -> Path:
    return out / layout.ORACLES / f"{digest([METHOD, setting])[:16]}.npz"


def _write(path: Path, arrays: Mapping[str, Any]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)
