"""Numbers, labels and tables in words: what the terminal and the report both show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import pandas as pd

from powerseek.experiments.analysis.paired import is_trend
from powerseek.experiments.results.table import CELL, DIALS
from powerseek.experiments.statistics.verdicts import LEAST_REACH
from powerseek.experiments.study.contrasts import KINDS, Contrast

MISSING = "-"
DAGGER = "\u2020"

SHORT = {"openness": "open", "power_weight": "w", "max_steps": "steps", "gae_lambda": "lambda"}
LEGEND = {
    "open": "how much lies beyond the task (openness)",
    "w": "how much the agent is paid for power itself; 0 except in the positive control",
    "gamma": "discount: how far ahead the agent looks",
    "steps": "longest episode allowed",
    "comp": "competence: share of episodes solved when nobody interrupts, over all seeds",
    "succ": "share of episodes solved as met, interruptions included",
    "acq": "resources acquired per episode, in the world's own units",
    "need": "the least that any policy of equal success must acquire (exact)",
    "incent": "what the exact optimum for this reward acquires beyond need: the reward's doing "
    "(optima drawn evenly; [range] where several tie)",
    "learned": "what the trained agents acquire beyond that optimum: learning's doing",
    "rest": "need at the optimum's success minus need at the agents': the price of its last "
    "bit of success. incent + learned + rest = excess",
    "excess [95 %]": "acquired - need, mean over seeds [95 % interval]; above 0 = beyond need",
    "slip": "excess of a minimalist that slips until it is as successful: noise alone gives "
    "this; - where the agents are too successful to have slipped",
    "off": "share of episodes in which the agent disabled its off-switch",
    "opt": "the same for the exact optimum: what the reward makes worthwhile",
    "n": "training runs (seeds) finished",
    "cens": "of these, runs that never learnt the task: left out of the power columns",
    "fail": "runs that ended in an error",
    "share": "excess as a share of all that could have been acquired beyond need",
    "POWER": "whether choices lead where more ends stay attainable: 0 = like chance, 1 = always "
    "where there is most; never compared across worlds or opennesses",
    "share beyond incent": "share of the surplus on offer that was taken, beyond what the reward "
    "makes optimal (optima drawn evenly: says little where incent has a wide range)",
    "pairs": "seeds that learnt the task in both arms (all seeds, for the positive control)",
    MISSING: "undefined here: nothing on offer, no switch, or no such policy",
    DAGGER: "not confirmatory: fewer than 90 % of the seeds learnt the task; if none did, the "
    "power columns show the runs that did not learn",
}
NO_ORACLE = "no oracle"
MOST_ROWS = 60
"""Rows of a table, or of a picture, that are shown."""


def number(value: float, *, signed: bool = False) -> str:
    """Two decimals, fewer where large; "-" where there is no number."""
    if not isfinite(value):
        return MISSING
    places = 2 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    value = round(value, places) + 0.0  # + 0.0 turns -0.0 into 0.0
    return f"{value:{'+' if signed else ''}.{places}f}"


def interval(value: float, low: float, high: float, *, signed: bool = False) -> str:
    """A number with its interval, as in ``+1.20 [0.80, 1.70]``."""
    text = number(value, signed=signed)
    if not (isfinite(value) and isfinite(low) and isfinite(high)):
        return text
    return f"{text} [{number(low)}, {number(high)}]"


def ranged(value: float, low: float, high: float) -> str:
    """An exact number; with its range over optimal policies where they differ by more than .1."""
    return interval(value, low, high) if high - low > 0.1 else number(value)


def dial(value: object) -> str:
    """The value of a dial as a user writes it."""
    if value is None or value != value or value == "":
        return MISSING
    return f"{value:g}" if isinstance(value, float) else str(value)


def varying(table: pd.DataFrame, names: Sequence[str] = (*CELL[1:], *DIALS)) -> list[str]:
    """Dials with more than one value in a table; the reward always."""
    known = [name for name in names if name in table]
    return [n for n in known if n == "reward" or table[n].nunique(dropna=False) > 1]


def setting(row: Mapping[str, object], names: Sequence[str]) -> str:
    """Dials in words: ``dense, openness 2, gamma 0.9``; those without a value are left out."""
    words = []
    for name in names:
        text = dial(row[name])
        if text != MISSING:
            plain = name in ("reward", "params")
            words.append(text if plain else f"{SPOKEN.get(name, name)} {text}")
    return ", ".join(words)


SPOKEN = {"power_weight": "w", "max_steps": "steps", "gae_lambda": "lambda"}


def left_out(rows: int, what: str = "rows") -> str:
    """What is said where a table or picture has more rows than are shown; else nothing."""
    if rows <= MOST_ROWS:
        return ""
    return (
        f"The first {MOST_ROWS} of {rows} {what}, in the order of the study; "
        "all of them follow from results.parquet."
    )


@dataclass(frozen=True)
class Grid:
    """A table as text.

    Attributes:
        title: What it is about, and the dials that are the same in all rows.
        headers: Short column heads; their meaning is in `LEGEND`.
        dials: How many of the first columns are words rather than numbers.
        rows: One text a column.
        muted: Per row, True where it is not confirmatory.
        total: Rows there would be, where only the first are given.
    """

    title: str
    headers: tuple[str, ...]
    dials: int
    rows: tuple[tuple[str, ...], ...]
    muted: tuple[bool, ...]
    total: int = 0

    @property
    def folded(self) -> str:
        """What is said below it where it has more rows than are shown; else nothing."""
        return left_out(max(self.total, len(self.rows)))


def legend(grids: Sequence[Grid]) -> dict[str, str]:
    """The column heads and marks that these tables show, with their meaning."""
    shown = {header for grid in grids for header in grid.headers}
    cells = [text for grid in grids for row in grid.rows for text in row]
    shown |= {mark for mark in (DAGGER, MISSING) if any(text.endswith(mark) for text in cells)}
    return {name: meaning for name, meaning in LEGEND.items() if name in shown}


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as mappings from column names."""
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def world_grids(summary: pd.DataFrame) -> list[Grid]:
    """The summary as text, one table a world."""
    return [_world_grid(str(world), rows) for world, rows in summary.groupby("world", sort=False)]


def _world_grid(world: str, table: pd.DataFrame) -> Grid:
    varied = varying(table)
    rows = records(table[:MOST_ROWS])
    same = setting(rows[0], [name for name in CELL[1:] if name not in varied])
    measured = [_measured(row) for row in rows]
    # A world without resources has no columns about them, nor one without a switch.
    about = [name for name in measured[0] if name not in ("comp", "succ")]
    idle = {name for name in about if all(texts[name] == MISSING for texts in measured)}
    if not table["failed"].any():
        idle.add("fail")
    measured = [{k: v for k, v in texts.items() if k not in idle} for texts in measured]
    return Grid(
        title=f"{world} ({same})" if same else world,
        headers=(*(SHORT.get(name, name) for name in varied), *measured[0]),
        dials=len(varied),
        rows=tuple(
            (*(dial(row[name]) for name in varied), *texts.values())
            for row, texts in zip(rows, measured, strict=True)
        ),
        muted=tuple(not row["confirmatory"] for row in rows),
        total=len(table),
    )


def _measured(row: Mapping[str, Any]) -> dict[str, str]:
    """The measures of one cell as text, by header."""
    exact = {
        "need": number(row["need"]),
        "incent": ranged(row["incentive"], row["incentive_low"], row["incentive_high"]),
        "learned": number(row["learned"], signed=True),
        "rest": number(row["remainder"], signed=True),
        "excess [95 %]": interval(
            row["excess"], row["excess_low"], row["excess_high"], signed=True
        ),
        "slip": number(row["slip_excess"], signed=True),
    }
    if isfinite(row["acquired"]) and not row["oracle"]:
        exact |= {"need": NO_ORACLE, "excess [95 %]": NO_ORACLE}
    if not row["confirmatory"] and isfinite(row["excess"]):
        exact["excess [95 %]"] += f" {DAGGER}"
    optimum = [row[f"optimum_disabled{end}"] for end in ("", "_low", "_high")]
    return {
        "comp": number(row["competence"]),
        "succ": number(row["success"]),
        "acq": number(row["acquired"]),
        **exact,
        "off": number(row["disabled"]),
        "opt": ranged(*optimum),
        "n": str(row["seeds"]),
        "cens": str(row["censored"]),
        "fail": str(row["failed"]),
    }


def contrast_grids(found: pd.DataFrame) -> dict[Contrast, list[Grid]]:
    """Comparisons as text: by kind, one table a world."""
    grids: dict[Contrast, list[Grid]] = {}
    for kind in KINDS:
        for world, rows in found[found["kind"] == kind].groupby("world", sort=False):
            grids.setdefault(kind, []).append(_contrast_grid(kind, str(world), rows))
    return grids


def _contrast_grid(kind: Contrast, world: str, table: pd.DataFrame) -> Grid:
    """One row a pair of arms: the main measure with its verdict, the off-switch beside it."""
    first = table["measure"].iloc[0]
    main = table[table["measure"] == first]
    differs = KINDS[kind].dial
    varied = [n for n in varying(main) if n != differs and main[n].nunique(dropna=False) > 1]
    same = setting(main.iloc[0].to_dict(), [n for n in CELL[1:] if n not in (*varied, differs)])
    names = [*varied, differs, "a", "b"]
    others = table[table["measure"] != first]
    shown = records(main[:MOST_ROWS])
    # What is beside a row comes soon after it: that of the rows that are not shown is not read.
    last = main.index[len(shown)] if len(main) > len(shown) else len(others) and others.index[-1]
    beside = {_key(row, names): row for row in records(others[others.index <= last])}
    rows = []
    for row in shown:
        other = beside.get(_key(row, names))
        rows.append(
            (
                *(dial(row[name]) for name in varied),
                arms_in_words(row["a"], row["b"]),
                _effect(row),
                *([_effect(other) if other else MISSING] if len(others) else []),
                str(row["seeds"]),
                str(row["verdict"]),
            )
        )
    heads = (*(SHORT.get(name, name) for name in varied), SHORT.get(differs, differs))
    measures = (MEASURE_WORDS.get(first, first), *(["off"] if len(others) else []))
    return Grid(
        title=f"{world} ({same})" if same else world,
        headers=(*heads, *measures, "pairs", "verdict"),
        dials=len(heads),
        rows=tuple(rows),
        # The positive control is ungated: reach says nothing against it.
        muted=tuple(
            kind != "control" and min(row["reach_a"], row["reach_b"]) < LEAST_REACH for row in shown
        ),
        total=len(main),
    )


def arms_in_words(a: object, b: object) -> str:
    """``terminal - dense``; ``trend, per unit`` for a slope."""
    if is_trend(a):
        return f"{a}, per unit of q"
    return f"{dial(a)} - {dial(b)}"


def _key(row: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dial(row.get(name)) for name in names)


def _effect(row: Mapping[str, Any]) -> str:
    return interval(row["effect"], row["low"], row["high"], signed=True)


MEASURE_WORDS = {
    "share_beyond_incentive": "share beyond incent",
    "disabled": "off",
    "acquired": "acq",
}
