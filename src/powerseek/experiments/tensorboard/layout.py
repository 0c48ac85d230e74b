"""What TensorBoard shows of a study: names of runs and tags, and the charts of Custom Scalars.

*Time series*, what is seen first, shows a card a tag, in groups in the order of their names. What
matters is in a group of its own (`FIRST`): competence and the primary figure, their means alone. A
band is no card; its ends lie in the last group, for *Custom Scalars*, where a curve and its band
are one chart: one category a hypothesis, in it one chart for each of its settings and curves, with
a line and a band for each of the two arms; a study without hypotheses has a category for each kind
of comparison; last comes one of all cells.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.custom_scalar import layout_pb2, metadata
from tensorboard.util import tensor_util

from powerseek.envs.world import World
from powerseek.experiments.study.claims import CLAIMS, SHORT_ID
from powerseek.experiments.study.contrasts import KINDS, Contrast, contrast_kind, factor_kinds
from powerseek.experiments.study.factors import (
    CELL,
    MISSING,
    factor_of,
    factors_in_words,
    levels_of,
    telling_factors,
    written_level,
)
from powerseek.experiments.study.grid import Cell
from powerseek.experiments.study.hypotheses import hypothesis_comparisons, varied_factors
from powerseek.experiments.study.schema import Hypothesis
from powerseek.metrics import EXACT, curve_names, known_metric
from powerseek.registry import make_world

ALL = "All cells (choose some on the left)"
FIRST, OTHERS, END, BANDS = "1 main", "2 others", "3 at the end", "4 bands and arms"
"""Groups of tags, in the order in which TensorBoard shows them; it opens the first."""
GATE = "competence"
STAND_IN = "excess"
PRIMARY = ("beyond", "excess", "acquired", "disabled")
"""What is shown beside competence: the first of these that there is."""
LEADING = f"{EXACT}beyond"
"""The first of the primary figures, shown beside whatever is compared."""
LONGEST = 150
"""Most characters of a run's name: folders have at most 255, and the user's are above them."""


@dataclass(frozen=True)
class Comparison:
    """The two arms of one setting.

    Attributes:
        prefix: What the tags of its curves start with.
        measures: Its curves: what is compared, its exact values first, and the competence it
            must be read with.
        titles: A title for each.
        arms: Name of a run -> cells.
    """

    prefix: str
    measures: tuple[str, ...]
    titles: tuple[str, ...]
    arms: Mapping[str, Sequence[Cell]]


@dataclass(frozen=True)
class Category:
    """The comparisons of one hypothesis, or of one kind."""

    title: str
    comparisons: tuple[Comparison, ...]


def shown_curves(cells: Sequence[Cell], curves: Sequence[str]) -> tuple[str, ...]:
    """Names of the curves of a study's cells, the primary figures first.

    Args:
        cells: The study's cells; exact curves exist where some world of theirs has what they are
            of and may be enumerated.
        curves: The metrics that are followed on episodes.
    """
    worlds = [make_world(id, **params) for id, params in _worlds(cells)]
    return tuple(name for name in curve_names(curves) if name in curves or _exists(name, worlds))


def _worlds(cells: Sequence[Cell]) -> list[tuple[str, Mapping[str, Any]]]:
    """Id and parameters of one cell of each world."""
    return list({cell.world: (cell.world, cell.params) for cell in cells}.values())


def _exists(name: str, worlds: Sequence[World]) -> bool:
    """True if one of the worlds may have an exact curve."""
    needs = known_metric(name.removeprefix(EXACT)).needs
    return any(needs.met(world) and not world.not_enumerable for world in worlds)


def all_cells(curves: Sequence[str]) -> Category:
    """A chart a curve for whatever cells are chosen, what matters most first."""
    ordered = sorted(curves, key=lambda name: name not in leading_curves(curves))
    return Category(ALL, (Comparison("", tuple(ordered), tuple(ordered), {}),))


def leading_curves(curves: Sequence[str]) -> tuple[str, ...]:
    """Competence and the primary figure: exactly late in training, and on episodes throughout.

    Args:
        curves: All that are shown of some cells, from `shown_curves`.
    """
    figure = next((name for name in PRIMARY if {name, f"{EXACT}{name}"} & {*curves}), "")
    return tuple(name for name in (GATE, f"{EXACT}{figure}", figure) if name in curves)


def tag_of(curve: str, name: str, leading: Sequence[str] = (), prefix: str = "") -> str:
    """The tag of a mean, of an end of its band, or of its number of seeds.

    Args:
        curve: Name of the curve.
        name: ``mean``, ``low``, ``high`` or ``seeds``.
        leading: Curves whose means are in the first group.
        prefix: Of a comparison; empty of a cell.
    """
    if prefix or name != "mean":
        return f"{BANDS}/{prefix}{curve}/{name}"
    return f"{FIRST if curve in leading else OTHERS}/{curve}"


def curve_title(curve: str, *worlds: str) -> str:
    """A curve in words, as said of some worlds."""
    id = curve.removeprefix(EXACT)
    return known_metric(id).title_in(*worlds) + (" (exact)" if curve != id else "")


def categories(
    cells: Sequence[Cell], hypotheses: Sequence[Hypothesis], curves: Sequence[str]
) -> list[Category]:
    """Categories of a study; without hypotheses every kind of comparison that it holds.

    Args:
        cells: The study's cells.
        hypotheses: Its hypotheses.
        curves: The metrics that are followed.
    """
    cells = [cell for cell in cells if not cell.is_reference]
    asked: list[tuple[str, str, Hypothesis | Contrast, str]] = [
        (said.id, _title(said), said, said.compared) for said in hypotheses
    ] or [(name, contrast_kind(name).title, said, measure) for name, said, measure in _kinds(cells)]
    made: list[Category] = []
    used: set[str] = set()
    for id, title, said, measure in asked:
        short = _unused(_tag(id[:SHORT_ID].strip()), used)
        category = Category(title, tuple(_comparisons(short, said, measure, cells, curves)))
        if category.comparisons:
            made.append(category)
    return made


def _kinds(cells: Sequence[Cell]) -> list[tuple[str, Contrast, str]]:
    """Every kind of comparison, and every other factor that varies, with what is compared."""
    varied = factor_kinds(varied_factors([levels_of(cell) for cell in cells]))
    named = [(name, Contrast(name)) for name in KINDS]
    named += [(column, Contrast("factor", (factor_of(column).name,))) for column in varied]
    return [(name, said, contrast_kind(name).measure) for name, said in named]


def _title(said: Hypothesis) -> str:
    meaning = CLAIMS.get(said.id, "")
    where = f" in {said.world}" if said.world else ""
    return f"{said.id} ({said.contrast}{where})" + (f": {meaning}" if meaning else "")


def _comparisons(
    id: str,
    said: Hypothesis | Contrast,
    measure: str,
    cells: Sequence[Cell],
    curves: Sequence[str],
) -> list[Comparison]:
    pairs = list(hypothesis_comparisons(said, cells))
    made, used = [], set[str]()
    for one in pairs:
        row = one.setting
        names = _varying(
            [other.setting for other in pairs if other.setting["world"] == row["world"]]
        )
        words = factors_in_words(row, [name for name in names if name in row])
        where = _unused(f"{row['world']}, {words}" if words else str(row["world"]), used)
        members = [cell for arm in one.arms.values() for cell in arm]
        measures = _compared_curves(measure, members, curves)
        known = {measure, f"{EXACT}{measure}"} & {*measures}
        note = "" if known else f" (no curve of {measure})"
        titles = tuple(
            f"{where}: {curve_title(m, str(row['world']))}{note if m == STAND_IN else ''}"
            for m in measures
        )
        runs = {
            _run_name(one.columns, levels): members
            for levels, members in one.arms.items()
            if members
        }
        made.append(Comparison(f"{id}/{_tag(where)}/", measures, titles, runs))
    return made


def _compared_curves(measure: str, cells: Sequence[Cell], curves: Sequence[str]) -> tuple[str, ...]:
    """Curves of a comparison of cells: exact ones of the measure and of what leads, and others."""
    there = shown_curves(cells, curves)
    exact = [name for name in (f"{EXACT}{measure}", LEADING) if name in there]
    seen = [name for name in (measure, STAND_IN) if name in curves][:1]
    if exact and exact[0] == f"{EXACT}{measure}" and measure not in curves:
        seen = []
    return tuple(dict.fromkeys([*exact, *seen, GATE]))


def run_names(cells: Sequence[Cell]) -> dict[str, str]:
    """A run for each cell, by its key: what varies within its world, in words and nothing else.

    The world stands before it where there are several, and alone where nothing varies.
    """
    rows = {cell.key: levels_of(cell) for cell in cells}
    worlds = dict.fromkeys(cell.world for cell in cells)
    within = {
        world: _varying([rows[cell.key] for cell in cells if cell.world == world])
        for world in worlds
    }
    names: dict[str, str] = {}
    for cell in cells:
        varied, row = within[cell.world], rows[cell.key]
        order = dict.fromkeys((*(name for name in CELL if name in varied), *varied))
        levels = {name: written_level(row.get(name)) for name in order}
        said = {name: level for name, level in levels.items() if level != MISSING}
        odd = {n: x for n, x in said.items() if not factor_of(n).goes_without_saying(row.get(n))}
        told = [
            level if name == "reward" else f"{factor_of(name).name}={level}"
            for name, level in (odd or said).items()
        ]
        own = [_plain(" ".join(told))] if told else []
        names[cell.key] = "/".join([cell.world, *own] if len(worlds) > 1 or not own else own)
    taken = Counter(names.values())
    return {
        key: n if taken[n] == 1 and len(n) <= LONGEST else f"{n[:LONGEST]}_{key[:6]}"
        for key, n in names.items()
    }


def _varying(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names that differ between settings of a world, in the order of the first."""
    table = pd.DataFrame(list(rows)).astype(object)
    table = table.where(table.notna(), None)
    names = [str(name) for name in table if name != "world"]
    return [n for n in telling_factors(table, names) if n != "reward" or table[n].nunique() > 1]


def _unused(name: str, used: set[str]) -> str:
    """The name, numbered where it is taken."""
    number, free = 1, name
    while free in used:
        number += 1
        free = f"{name} ({number})"
    used.add(free)
    return free


def _tag(words: str) -> str:
    """One level of a tag: TensorBoard groups tags by what stands before a slash."""
    return words.replace("/", "|")


def _run_name(columns: Sequence[str], levels: Any) -> str:
    each = levels if len(columns) > 1 else (levels,)
    named = zip(columns, each, strict=True)
    return " ".join(
        f"{factor_of(column).name}={_plain(written_level(level))}" for column, level in named
    )


def _plain(words: str) -> str:
    """Fit for a folder."""
    return re.sub(r"[^\w.=+-]+", "_", words)


def layout_event(found: Sequence[Category], leading: Sequence[str] = ()) -> Event:
    """The layout as TensorBoard reads it.

    The first category alone is open: each chart asks for its curves run by run.

    Args:
        found: Its categories.
        leading: As in `tag_of`.
    """
    layout = layout_pb2.Layout()
    for category in found:
        charts = [
            _chart(title, comparison.prefix, measure, leading)
            for comparison in category.comparisons
            for title, measure in zip(comparison.titles, comparison.measures, strict=True)
        ]
        # TensorBoard (2.21) shows the charts of a category from the last to the first.
        layout.category.add(title=category.title, chart=charts[::-1], closed=category != found[0])
    value = Summary.Value(
        tag=metadata.CONFIG_SUMMARY_TAG,
        metadata=metadata.create_summary_metadata(),
        tensor=tensor_util.make_tensor_proto(layout.SerializeToString()),
    )
    return Event(summary=Summary(value=[value]))


def _chart(title: str, prefix: str, curve: str, leading: Sequence[str]) -> layout_pb2.Chart:
    names = {"value": "mean", "lower": "low", "upper": "high"}
    ends = {end: tag_of(curve, name, leading, prefix) for end, name in names.items()}
    series = layout_pb2.MarginChartContent.Series(**ends)
    return layout_pb2.Chart(title=title, margin=layout_pb2.MarginChartContent(series=[series]))
