"""``python -m benchmarks.equivalence DIR``: do cohorts learn what Stable-Baselines3 learns?

Reads the results of ``powerseek sweep docs/studies/equivalence.yaml --out DIR``, prints the tables
of docs/performance.md and draws docs/equivalence.png.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from math import exp
from pathlib import Path

import numpy as np

from benchmarks.equivalence_figure import picture
from benchmarks.equivalence_groups import (
    COHORT,
    EQUIVALENT,
    LIBRARY,
    MEASURES,
    OPEN,
    Comparison,
    Setting,
    compared,
    middle,
    number,
    settings,
)
from powerseek.errors import InvalidInput
from powerseek.experiments.results.table import read_results
from powerseek.experiments.statistics.survival import budget_ratio, p_log_rank
from powerseek.experiments.statistics.tests import iqms


def shown(one: Comparison) -> dict[str, str]:
    """A comparison in words, a text a column of the table."""
    ratio, places = one.measure.ratio, 2 if one.measure.name in ("excess", "disabled") else 3
    means = [
        f"{exp(own.mean()):,.0f} (x {number(exp(own.std(ddof=1)), 2)})"
        if ratio
        else f"{number(own.mean(), places)} ({number(own.std(ddof=1), places)})"
        for own in one.values
    ]
    value, low, high, _ = one.effect
    if ratio:
        effect = f"x {number(exp(value))} [{number(exp(low))}, {number(exp(high))}]"
        margin = f"x {number(exp(-one.margin))} to {number(exp(one.margin), 1)}"
    else:
        ends = f"[{number(low, places, signed=True)}, {number(high, places, signed=True)}]"
        effect = f"{number(value, places, signed=True)} {ends}"
        margin = f"{one.margin:g}".removeprefix("0")
    more = f": {one.wanted:,.0f} seeds wanted" if one.verdict == OPEN else ""
    mark = "" if one.verdict == EQUIVALENT else "**"
    return {
        "setting": one.setting,
        COHORT: means[0],
        LIBRARY: means[1],
        "difference [90 %]": effect,
        "margin": margin,
        "p": _p(one.p_equivalence),
        "power": number(one.power, 2),
        "verdict": f"{mark}{one.verdict}{mark}{more}",
    }


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else number(value)


def tables(found: Sequence[Setting], every: Sequence[Comparison]) -> Iterator[str]:
    """Markdown: a table a measure, then what lies beside the tests."""
    for measure in MEASURES:
        rows = [shown(one) for one in every if one.measure is measure]
        if rows:
            yield f"**{measure.title}**\n\n{_markdown(rows)}"
    rng = np.random.default_rng(0)
    yield f"**Beside the tests**\n\n{_markdown([_beside(one, every, rng) for one in found])}"


def _beside(one: Setting, every: Sequence[Comparison], rng: np.random.Generator) -> dict[str, str]:
    arms = one.cohort, one.library
    middles = [middle(own["competence"], iqms, rng) for own in arms]
    times = [part for own in arms for part in (own["steps"], own["reached"])]
    ratio = budget_ratio(*times, rng)
    own = [c for c in every if c.setting == one.label]
    failed = [f"{int(arm['learnt'].sum())} of {len(arm)}" for arm in arms]
    return {
        "setting": one.label,
        "learnt": " / ".join(failed),
        "IQM of competence": " / ".join(
            f"{number(m.value)} [{number(m.low)}, {number(m.high)}]" for m in middles
        ),
        "median steps, ratio [95 %]": f"{number(ratio.value, 2)} "
        f"[{number(ratio.low, 2)}, {number(ratio.high, 2)}]",
        "log-rank p": _p(p_log_rank(*times)),
        "r at the same seed": ", ".join(f"{c.measure.name} {number(c.together, 2)}" for c in own),
    }


def _markdown(rows: Sequence[dict[str, str]]) -> str:
    heads = list(rows[0])
    sides = [":--" if i == 0 or head == "verdict" else "--:" for i, head in enumerate(heads)]
    lines = [heads, sides, *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables and draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.equivalence", description=__doc__)
    parser.add_argument("directory", metavar="DIR", help="what the sweep wrote")
    parser.add_argument("--picture", default="docs/equivalence.png", metavar="PNG")
    given = parser.parse_args(arguments)
    try:
        found, seeds = settings(read_results(given.directory))
    except InvalidInput as error:
        sys.exit(str(error))
    every = compared(found)
    print(f"{seeds} seeds an agent and setting\n")
    print("\n\n".join(tables(found, every)))
    Path(given.picture).write_bytes(picture(every).png())
    print(f"\nwritten: {given.picture}")


if __name__ == "__main__":
    main()
