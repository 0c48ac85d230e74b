"""Exact numbers, computed once per configuration and its rules, kept beside results and shared."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from powerseek.envs.rewards.spec import Spec, is_learnt, reward_name
from powerseek.errors import InvalidInput
from powerseek.exact import Optimum, Oracle, oracle, reward_oracle
from powerseek.experiments.results.oracles import ARM, WORLD, exact_setting, keep_exact, read_exact
from powerseek.experiments.results.origin import rules_of
from powerseek.experiments.study.grid import Cell, canonical_study_json
from powerseek.experiments.sweep.shared import read_shared, share
from powerseek.registry import make_world

Exact = TypeVar("Exact", Oracle, Optimum)


@dataclass
class _Stopwatch:
    """Seconds of a kind of work."""

    seconds: float = 0.0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Count these."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds += time.monotonic() - begun


computing = _Stopwatch()
"""How long this process has computed exact numbers."""


def oracle_of(cell: Cell, out: Path | None) -> Oracle | None:
    """Exact facts of the cell's setting; None where its world is too large to enumerate."""
    return _oracle(exact_setting(cell, WORLD), rules_of(cell), out)


def optimum_of(cell: Cell, out: Path | None) -> Optimum | None:
    """The cell's own exact optimum; None where it cannot be had.

    A bootstrapped cap has no last step; a reward that is learnt has an optimum for every seed.
    """
    return _optimum(exact_setting(cell, ARM), rules_of(cell), out)


def refuse_learnt(reward: Spec) -> None:
    """Refuse a reward that is another one at every seed: there is no one optimum of it.

    Raises:
        InvalidInput: It is one that is learnt.
    """
    if is_learnt(reward):
        allowed = "a reward that is the same at every seed: this one's labels are drawn by the seed"
        raise InvalidInput("reward", reward_name(reward), allowed)


def holdings_scale(cell: Cell, facts: Oracle | None) -> float:
    """Attainable maximum of the holdings, which a power weight pays in full; 1 if not known."""
    if facts is None or not cell.power_weight or not facts.holdings > 0:
        return 1.0
    return facts.holdings


@lru_cache(maxsize=16)
def _oracle(setting: str, rules: str, out: Path | None) -> Oracle | None:
    given = json.loads(setting)
    world = make_world(given["world"], **given["params"])
    return _kept(setting, rules, out, lambda: oracle(world), Oracle.from_arrays)


@lru_cache(maxsize=64)
def _optimum(setting: str, rules: str, out: Path | None) -> Optimum | None:
    given = json.loads(setting)
    world = make_world(given["world"], **given["params"])

    def compute() -> Optimum:
        refuse_learnt(given["reward"])
        facts = _oracle(canonical_study_json({name: given[name] for name in WORLD}), rules, out)
        return reward_oracle(
            world,
            given["reward"],
            given["gamma"],
            time_limit=given["time_limit"],
            power_weight=given["power_weight"],
            measured=None if facts is None else facts.power_in(world),
        )

    return _kept(setting, rules, out, compute, Optimum.from_arrays)


def _kept(
    setting: str,
    rules: str,
    out: Path | None,
    compute: Callable[[], Exact],
    restore: Callable[[Mapping[str, Any]], Exact],
) -> Exact | None:
    """From the file of this setting or from another study, or computed and kept for both."""
    arrays = None if out is None else read_exact(out, setting, rules)
    if arrays is None:
        arrays = read_shared(setting, rules)
        if arrays is None:
            try:
                with computing.running():
                    arrays = compute().to_arrays()
            except InvalidInput as error:  # the table says "no oracle"; the file says why
                arrays = {"none": np.array(str(error))}
            share(setting, rules, arrays)
        if out is not None:
            keep_exact(out, setting, rules, arrays)
    return None if "none" in arrays else restore(arrays)
