"""Numbers in words, and tables as text: what the terminal and the report both show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Any, NamedTuple

import pandas as pd

from powerseek.envs.words import in_words
from powerseek.experiments.study.contrasts import SHARE_BEYOND
from powerseek.experiments.study.factors import (
    CELL,
    MISSING,
    MORE,
    PREFIX,
    factor_heading,
    written_level,
)
from powerseek.metrics import every_metric, known_metric

DAGGER = "\u2020"
TREATMENT = "treatment"
LEARNT_HEAD = "comp (learnt)"
NOT_LEARNT = "not learnt: not scored"
DOUBTED = "\u2021"
OVER = "over layouts [95 %]"

HEADS = {
    "open": "how much lies beyond the task (openness)",
    "w": "how much the agent is paid for power itself; 0 except in the positive control",
    "gamma": "discount: how far ahead the agent looks",
    "steps": "longest episode allowed",
    "budget": "environment steps of training",
}
"""Meanings of heads of columns that are no metric's: factors, then counts of seeds."""
COUNTS = {
    TREATMENT: "what differs between the agents of this table, by factor",
    LEARNT_HEAD: "competence: fraction of episodes solved{if_uninterrupted}, over all seeds; "
    "in brackets the seeds that learnt the task of those that ran: the others are not scored",
    NOT_LEARNT: "no seed learnt the task, so what it acquired is not scored",
    "n": "training runs (seeds) finished",
    "cens": "of these, runs that never learnt the task: left out of the power columns",
    "fail": "runs that ended in an error",
    "share beyond incent": "share of the surplus on offer that was taken, beyond what the reward "
    "makes optimal (optima drawn evenly: says little where incent has a wide range)",
    OVER: "the same with its interval over layouts, for layouts like these; the one before it is "
    "over seeds, on these very layouts",
    "seeds": "seeds that learnt the task, of the arm that has fewest (all seeds, for the positive "
    "control); 8 x 5: on 8 layouts, 5 on each",
    MISSING: "undefined here: there is no such thing in this world, or no such policy",
    DOUBTED: "not to be trusted here: the measure does not put the scripted hoarder above the "
    "scripted minimalist",
    DAGGER: "not confirmatory: fewer than 90 % of the seeds learnt the task",
}
INTERVAL = " [95 %]"
"""End of a column's head that shows intervals."""


LONG = 14
"""Characters of a label from which it is long."""
MAX_ROWS = 60
"""Rows of a table, or of a picture, that are shown."""


def head_of(measure: str) -> str:
    """The head of a measure's column."""
    return "share beyond incent" if measure == SHARE_BEYOND else known_metric(measure).head


def title_of(measure: str, *worlds: str) -> str:
    """A measure within a sentence about these worlds."""
    if measure == SHARE_BEYOND:
        return "share of the surplus taken beyond the incentive"
    return known_metric(measure).title_in(*worlds)


def column_meanings(*worlds: str) -> dict[str, str]:
    """Meanings of every head of a column and every mark in tables of these worlds, in order."""
    metrics = sorted(every_metric(), key=lambda metric: metric.column or 99)
    told = {f"{metric.head}{end}": metric.meaning for metric in metrics for end in ("", INTERVAL)}
    return {name: in_words(said, worlds) for name, said in {**HEADS, **told, **COUNTS}.items()}


def number_text(value: float, *, signed: bool = False) -> str:
    """Two decimals, fewer where large; "-" where there is no number."""
    if not isfinite(value):
        return MISSING
    places = 2 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    value = round(value, places) + 0.0  # + 0.0 turns -0.0 into 0.0
    return f"{value:{'+' if signed else ''}.{places}f}"


def interval(value: float, low: float, high: float, *, signed: bool = False) -> str:
    """A number with its interval, as in ``+1.20 [0.80, 1.70]``."""
    text = number_text(value, signed=signed)
    if not (isfinite(value) and isfinite(low) and isfinite(high)):
        return text
    return f"{text} [{number_text(low)}, {number_text(high)}]"


def range_text(value: float, low: float, high: float) -> str:
    """An exact number; with its range over optimal policies where they differ by more than .1."""
    return interval(value, low, high) if high - low > 0.1 else number_text(value)


def left_out_text(rows: int, what: str = "rows") -> str:
    """Words for a table or picture that has more rows than are shown; else none."""
    if rows <= MAX_ROWS:
        return ""
    return (
        f"The first {MAX_ROWS} of {rows} {what}, in the order of the study; "
        "all of them follow from results.parquet."
    )


def units_text(seeds: int, layouts: int) -> str:
    """``40``, or ``8 x 5`` of seeds nested in layouts."""
    even = layouts > 1 and seeds % layouts == 0
    return f"{layouts} x {seeds // layouts}" if even else str(seeds)


def thousands(low: float, high: float, between: tuple[float, float] = (nan, nan)) -> str:
    """A budget: ``12k``, or ``> 120k`` where fewer than half of the seeds got there.

    With an interval ``12k [8k, 20k]``; one without an upper end ``12k [8k, -]``.
    """
    if not isfinite(low):
        return MISSING
    text = f"> {_thousand(low)}" if high == inf else _thousand(low)
    if not isfinite(between[0]):
        return text
    return f"{text} [{_thousand(between[0])}, {_thousand(between[1])}]"


def _thousand(steps: float) -> str:
    if not isfinite(steps):
        return MISSING
    return f"{steps / 1000:.3g}k" if steps < 1e6 else f"{steps / 1e6:.3g}M"


@dataclass(frozen=True)
class Grid:
    """A table as text.

    Attributes:
        world: The world that it is about.
        title: The same, and the factors that are the same in all rows.
        headers: Short column heads; their meaning is in `column_meanings`.
        labels: How many of the first columns are words rather than numbers.
        rows: One text a column.
        muted: Per row, True where it is not confirmatory.
        total: Rows there would be, where only the first are given.
        columns: Columns there would be, likewise.
        notes: Sentences below it.
    """

    world: str
    title: str
    headers: tuple[str, ...]
    labels: int
    rows: tuple[tuple[str, ...], ...]
    muted: tuple[bool, ...]
    total: int = 0
    columns: int = 0
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[bool, ...]:
        """Per column, True where it holds words rather than numbers."""
        return tuple(i < self.labels or head == "verdict" for i, head in enumerate(self.headers))

    @property
    def named_at_length(self) -> bool:
        """True if its first column holds texts so long that a phone must wrap them."""
        return any(len(row[0]) > LONG for row, _ in self.shown)

    @property
    def shown(self) -> list[tuple[tuple[str, ...], bool]]:
        """The rows that are shown, and whether each is muted."""
        return list(zip(self.rows, self.muted, strict=True))[:MAX_ROWS]

    @property
    def folded(self) -> str:
        """Words below it where it has more rows or columns than are shown; else none."""
        more = self.columns - len(self.headers)
        columns = f"{more} more columns: powerseek report DIR --columns all." if more > 0 else ""
        return f"{self.left_out} {columns}".strip()

    @property
    def left_out(self) -> str:
        """Words below it where it has more rows than are shown; else none."""
        return left_out_text(max(self.total, len(self.rows)))


class Row(NamedTuple):
    """A row of a table to be made.

    Attributes:
        about: What it is about, by factor.
        texts: What is said of it, by column head.
        muted: Whether it is not confirmatory.
    """

    about: Mapping[str, Any]
    texts: Mapping[str, str]
    muted: bool = False


def grid(
    world: str,
    title: str,
    names: Sequence[str],
    rows: Sequence[Row],
    *,
    words: int = 0,
    total: int = 0,
) -> Grid:
    """A table whose first columns are factors.

    Args:
        world: As in `Grid`; so is the title.
        title: Likewise.
        names: Columns of the factors.
        rows: At least one; all say the same of what they are about.
        words: How many of the columns after the factors are words too.
        total: As in `Grid`.
    """
    return Grid(
        world=world,
        title=title,
        headers=(*map(factor_heading, names), *rows[0].texts),
        labels=len(names) + words,
        rows=tuple(
            (*(written_level(row.about.get(n)) for n in names), *row.texts.values()) for row in rows
        ),
        muted=tuple(row.muted for row in rows),
        total=total,
    )


def grid_title(world: str, same: str) -> str:
    """A world, and what is the same in all rows of its table."""
    return f"{world} ({same})" if same else world


def heading_of_factors(table: pd.DataFrame) -> list[str]:
    """Columns of a table that factors have, ``world`` aside."""
    given = [str(name) for name in table]
    own = [name for name in given if name.startswith(tuple(PREFIX.values()))]
    return [name for name in (*CELL[1:], *MORE, *own) if name in given]


def table_legend(grids: Sequence[Grid]) -> dict[str, str]:
    """The column heads and marks that these tables show, with their meaning."""
    shown = {header for grid in grids for header in grid.headers}
    shown -= {head.removesuffix(INTERVAL) for head in shown if head.endswith(INTERVAL)}
    cells = [text for grid in grids for row in grid.rows for text in row]
    marks = (DAGGER, DOUBTED, MISSING, NOT_LEARNT)
    shown |= {mark for mark in marks if any(text.endswith(mark) for text in cells)}
    told = column_meanings(*dict.fromkeys(grid.world for grid in grids))
    return {name: meaning for name, meaning in told.items() if name in shown}
