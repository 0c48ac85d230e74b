"""Exact numbers beside the results: one file a setting, by a digest of it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from powerseek.exact import Oracle
from powerseek.experiments import checksums, layout
from powerseek.experiments.results.files import keep_results_file
from powerseek.experiments.study.grid import Cell, canonical_study_json, content_hash

METHOD = 6
"""Part of every file's name: numbers of an older method are not read again."""

WORLD = ("world", "version", "params")
ARM = (*WORLD, "reward", "gamma", "time_limit", "power_weight")


def exact_setting(cell: Cell, names: tuple[str, ...]) -> str:
    """The setting of exact numbers: `WORLD` or `ARM` of a cell, as canonical JSON."""
    config = cell.config
    return canonical_study_json({name: config[name] for name in names})


def kept_oracle(cell: Cell, out: Path) -> Oracle | None:
    """The exact facts of the cell's setting, if they are kept already; nothing is computed."""
    arrays = read_exact(out, exact_setting(cell, WORLD))
    return None if arrays is None or "none" in arrays else Oracle.from_arrays(arrays)


def damaged_oracle(cell: Cell, out: Path) -> list[Path]:
    """The file of `kept_oracle`, where it is there and cannot be read."""
    setting = exact_setting(cell, WORLD)
    path = _path(out, setting)
    return [path] if path.exists() and read_exact(out, setting) is None else []


def oracle_names(cell: Cell) -> tuple[str, ...]:
    """The files of a cell's exact facts and optimum, by their path below the results directory.

    Those of where it is measured too come after them.
    """
    places = filter(None, (cell, cell.shifted))
    settings = (exact_setting(place, names) for place in places for names in (WORLD, ARM))
    return tuple(_path(Path(), setting).as_posix() for setting in settings)


def read_exact(out: Path, setting: str, rules: str = "") -> dict[str, Any] | None:
    """Read the file of a setting, by name; None where it is not there, whole and of it.

    Args:
        out: Results directory.
        setting: From `exact_setting`.
        rules: Fingerprint of the world's present rules: numbers of others are not read, nor those
            that do not say. As it is not given, they are read whatever they are of.
    """
    try:
        data = checksums.sealed_bytes(
            _path(out, setting), checksums.checksummed(out / layout.MANIFEST)
        )
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            arrays = dict(held)
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile):
        return None
    of, made_by = (str(arrays.pop(name, "")) for name in ("setting", "rules"))
    return arrays if of == setting and rules in ("", made_by) else None


def keep_exact(out: Path, setting: str, rules: str, arrays: Mapping[str, Any]) -> None:
    """Keep the exact numbers of a setting and of the rules with a fingerprint, all or nothing.

    Raises:
        DiskFull: No space is left.
        StoreError: Not writable.
    """
    about = {"setting": np.array(setting), "rules": np.array(rules)}
    keep_results_file(_path(out, setting), lambda temporary: _write(temporary, {**arrays, **about}))


def _path(out: Path, setting: str) -> Path:
    return out / layout.ORACLES / f"{content_hash([METHOD, setting])[:16]}.npz"


def _write(path: Path, arrays: Mapping[str, Any]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = checksums.BLANK.encode()
