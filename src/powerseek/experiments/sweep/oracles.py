"""Exact numbers, computed once per setting and kept beside the results."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from powerseek.errors import InvalidInput
from powerseek.exact import Optimum, Oracle, arm_oracle, oracle
from powerseek.experiments import layout
from powerseek.experiments.results.files import guard, write_atomically
from powerseek.experiments.study.grid import Cell, canonical, digest
from powerseek.registry import make_world

METHOD = 2
"""Part of every file's name: numbers of an older method are not read again."""

_WORLD = ("world", "version", "params")
_ARM = (*_WORLD, "reward", "gamma", "time_limit", "power_weight")
Exact = TypeVar("Exact", Oracle, Optimum)


def oracle_of(cell: Cell, out: Path | None) -> Oracle | None:
    """Exact facts of the cell's setting; None where its world is too large to enumerate."""
    return _oracle(_setting(cell, _WORLD), out)


def optimum_of(cell: Cell, out: Path | None) -> Optimum | None:
    """The cell's own exact optimum; None where it cannot be had (a bootstrapped cap, say)."""
    return _optimum(_setting(cell, _ARM), out)


def kept_oracle(cell: Cell, out: Path) -> Oracle | None:
    """The facts of `oracle_of` if they are kept already; nothing is computed."""
    setting = _setting(cell, _WORLD)
    arrays = _read(_path(out, setting), setting)
    return None if arrays is None or "none" in arrays else Oracle.from_arrays(arrays)


def damaged_oracle(cell: Cell, out: Path) -> list[Path]:
    """The file of `kept_oracle`, where it is there and cannot be read."""
    setting = _setting(cell, _WORLD)
    path = _path(out, setting)
    return [path] if path.is_file() and _read(path, setting) is None else []


def oracle_names(cell: Cell) -> tuple[str, ...]:
    """The files of `oracle_of` and `optimum_of`, by their path below the results directory."""
    settings = (_setting(cell, names) for names in (_WORLD, _ARM))
    return tuple(_path(Path(), setting).as_posix() for setting in settings)


def holdings_scale(cell: Cell, facts: Oracle | None) -> float:
    """Attainable maximum of the holdings, which a power weight pays in full; 1 if not known."""
    if facts is None or not cell.power_weight or not facts.holdings > 0:
        return 1.0
    return facts.holdings


def _setting(cell: Cell, names: tuple[str, ...]) -> str:
    config = cell.config
    return canonical({name: config[name] for name in names})


@lru_cache(maxsize=16)
def _oracle(setting: str, out: Path | None) -> Oracle | None:
    given = json.loads(setting)
    world = make_world(given["world"], **given["params"])
    return _kept(setting, out, lambda: oracle(world), Oracle.from_arrays)


@lru_cache(maxsize=64)
def _optimum(setting: str, out: Path | None) -> Optimum | None:
    given = json.loads(setting)
    world = make_world(given["world"], **given["params"])

    def compute() -> Optimum:
        facts = _oracle(canonical({name: given[name] for name in _WORLD}), out)
        return arm_oracle(
            world,
            given["reward"],
            given["gamma"],
            time_limit=given["time_limit"],
            power_weight=given["power_weight"],
            measured=None if facts is None else facts.power_in(world),
        )

    return _kept(setting, out, compute, Optimum.from_arrays)


def _kept(
    setting: str,
    out: Path | None,
    compute: Callable[[], Exact],
    restore: Callable[[Mapping[str, Any]], Exact],
) -> Exact | None:
    """From the file of this setting, or computed and kept there."""
    path = None if out is None else _path(out, setting)
    arrays = None if path is None else _read(path, setting)
    if arrays is None:
        try:
            arrays = compute().to_arrays()
        except InvalidInput as error:  # the table says "no oracle"; the file says why
            arrays = {"none": np.array(str(error))}
        if path is not None:
            whole = {**arrays, "setting": np.array(setting)}
            guard(path, write_atomically, path, lambda temporary: _write(temporary, whole))
    return None if "none" in arrays else restore(arrays)


def _path(out: Path, setting: str) -> Path:
    return out / layout.ORACLES / f"{digest([METHOD, setting])[:16]}.npz"


def _read(path: Path, setting: str) -> dict[str, Any] | None:
    """What the file holds, if it is whole and of this setting."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            arrays = dict(held)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    return arrays if str(arrays.pop("setting", "")) == setting else None


def _write(path: Path, arrays: Mapping[str, Any]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)
