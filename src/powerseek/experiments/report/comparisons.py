"""Comparisons as tables: the main measure with its verdict, evaded control beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from powerseek.experiments.analysis.cells import cell_records
from powerseek.experiments.analysis.findings.finding import Finding
from powerseek.experiments.analysis.groups import is_trend
from powerseek.experiments.report.text import (
    MAX_ROWS,
    OVER,
    Grid,
    Row,
    grid,
    grid_title,
    head_of,
    heading_of_factors,
    interval,
    units_text,
)
from powerseek.experiments.statistics.verdicts import LEAST_REACH
from powerseek.experiments.study.claims import SHORT_ID
from powerseek.experiments.study.contrasts import KINDS, contrast_kind, factor_contrast_kind
from powerseek.experiments.study.factors import (
    CELL,
    MISSING,
    factor_heading,
    factor_of,
    factors_in_words,
    telling_factors,
    written_level,
)


def contrast_grids(found: pd.DataFrame) -> dict[str, list[Grid]]:
    """Comparisons as text: by kind, one table a world."""
    grids: dict[str, list[Grid]] = {}
    for kind in dict.fromkeys((*KINDS, *found.get("kind", ()))):
        for world, rows in found[found["kind"] == kind].groupby("world", sort=False):
            grids.setdefault(kind, []).append(_contrast_grid(kind, str(world), rows))
    return grids


def _contrast_grid(kind: str, world: str, table: pd.DataFrame) -> Grid:
    """One row a pair of arms."""
    first = table["measure"].iloc[0]
    main, other = (table[same] for same in (table["measure"] == first, table["measure"] != first))
    differs = contrast_kind(kind).factor
    own = [name for name in heading_of_factors(main) if main[name].nunique(dropna=False) > 1]
    varied = [name for name in telling_factors(main, own) if name != differs]
    same = factors_in_words(
        main.iloc[0].to_dict(), [n for n in CELL[1:] if n not in (*varied, differs)]
    )
    shown = cell_records(main[:MAX_ROWS])
    # What is beside a row comes soon after it: that of the rows that are not shown is not read.
    near = other if len(main) == len(shown) else other[other.index <= main.index[len(shown)]]
    beside = {_pair(row, varied): _effect(row) for row in cell_records(near)}
    rows = []
    for row in shown:
        measured = {head_of(first): _effect(row)}
        if (main["layouts"] > 0).any():
            over = (row[name] for name in ("over_layouts", "over_low", "over_high"))
            measured[OVER] = interval(*over, signed=True)
        if len(other):
            measured[head_of("disabled")] = beside.get(_pair(row, varied), MISSING)
        arms = {factor_heading(differs): arms_in_words(row["a"], row["b"])}
        told = {"seeds": units_text(row["seeds"], row["layouts"]), "verdict": str(row["verdict"])}
        # The positive control is ungated: reach says nothing against it.
        muted = kind != "control" and min(row["reach_a"], row["reach_b"]) < LEAST_REACH
        rows.append(Row(row, {**arms, **measured, **told}, muted))
    made = grid(world, grid_title(world, same), varied, rows, words=1, total=len(main))
    return replace(made, notes=(*_signs(main, differs, varied), *_advice(shown)))


def _signs(table: pd.DataFrame, differs: str, varied: Sequence[str]) -> Iterator[str]:
    """Of each pair of arms in how many settings of the agent it has the same sign."""
    nuisance = [name for name in varied if factor_of(name).of == "agent" and name != "agent"]
    if not nuisance or factor_of(differs).of == "agent":
        return
    settings = ", ".join(factor_of(name).name for name in nuisance)
    same = [name for name in varied if name not in nuisance]
    for _, rows in table.groupby([*same, "a", "b"], sort=False, dropna=False):
        count = max((rows["effect"] > 0).sum(), (rows["effect"] < 0).sum())
        clear = ((rows["low"] > 0) | (rows["high"] < 0)).sum()
        first = cell_records(rows[:1])[0]
        words = ", ".join(written_level(first[name]) for name in same)
        where = f" ({words})" if words else ""
        if len(rows) > 1:
            yield (
                f"{arms_in_words(first['a'], first['b'])}{where}: the same sign in {count} of "
                f"{len(rows)} settings of {settings}, in {clear} the interval leaves out 0."
            )


def _advice(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """What would change each "cannot tell" of some rows, but those that hypotheses answer."""
    open_rows = [row for row in rows if str(row["verdict"]).startswith("cannot tell")]
    told = dict.fromkeys(str(row["advice"]) for row in open_rows if row["advice"])
    return tuple(f"What would change cannot tell: {advice}." for advice in told)


def arms_in_words(a: object, b: object) -> str:
    """``terminal - dense``; ``trend, per unit`` for a slope."""
    if is_trend(a):
        return f"{a}, per unit of q"
    return f"{written_level(a)} - {written_level(b)}"


def _pair(row: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(written_level(row[name]) for name in (*names, "a", "b"))


def _effect(row: Mapping[str, Any]) -> str:
    return interval(row["effect"], row["low"], row["high"], signed=True)


def refer_to_hypotheses(compared: pd.DataFrame, found: Sequence[Finding]) -> pd.DataFrame:
    """Comparisons with the verdict of a hypothesis in the place of "no margin was set".

    Args:
        compared: From `powerseek.experiments.analysis.contrasts.contrasts`.
        found: Findings from the same results.
    """
    said: dict[tuple[object, ...], list[str]] = {}
    for one in found:
        claim = one.claim.hypothesis
        plain = claim.checkpoint == "end" and not claim.line and one.b is not None
        if plain and len(one.columns) == 1 and one.ratio is None:
            kind = claim.contrast.name
            kind = factor_contrast_kind(one.columns[0]) if kind == "factor" else kind
            name = claim.id if len(claim.id) <= SHORT_ID else f"{claim.id[: SHORT_ID - 1]}\u2026"
            words = f"{name}: {one.verdict.answer}"
            words += "" if one.claim.confirmatory else " (exploratory)"
            key = _key(kind, claim.compared, one.a, one.b, one.setting)
            said.setdefault(key, []).append(words)
    if not said:
        return compared
    names = ["world", *heading_of_factors(compared)]
    verdicts = []
    for row in cell_records(compared):
        key = _key(
            row["kind"], row["measure"], row["a"], row["b"], {name: row[name] for name in names}
        )
        verdicts.append("; ".join(said.get(key, [row["verdict"]])))
    return compared.assign(verdict=verdicts)


def _key(
    kind: str, measure: str, a: object, b: object, setting: Mapping[str, object]
) -> tuple[object, ...]:
    """Key that tells a comparison from all others; factors without a value here are left out."""
    known = ((name, written_level(value)) for name, value in setting.items())
    return (
        kind,
        measure,
        written_level(a),
        written_level(b),
        frozenset(pair for pair in known if pair[1] != MISSING),
    )
