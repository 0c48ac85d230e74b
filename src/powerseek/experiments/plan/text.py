"""A plan in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isfinite

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from powerseek.experiments.plan.plan import Cost, Packing, Plan
from powerseek.experiments.statistics.power_analysis import Detectable
from powerseek.experiments.statistics.verdicts import SEEDS_OF_CONTRAST, SEEDS_OF_NONE
from powerseek.experiments.sweep.prices import Price
from powerseek.experiments.sweep.sparsity import RandomPlay


@contextmanager
def say_pilot(console: Console) -> Iterator[Callable[[str], None]]:
    """Show on one line what the pilot measures; plain lines where this is no terminal."""
    if not console.is_terminal:
        yield lambda line: console.print(f"pilot: {line}", markup=False, highlight=False)
        return
    with console.status("pilot: starting") as status:
        yield lambda line: status.update(Text(f"pilot: {line}"))


def print_plan(plan: Plan, console: Console) -> None:
    """Print a plan.

    Args:
        plan: From `powerseek.experiments.plan.plan.make_plan`.
        console: Where to; 80 columns suffice.
    """
    console.print(Text(f"Plan of {plan.name}; nothing was run or written", style="bold"))
    console.print()
    _table(
        console,
        ("world", "cells", "trials", "steps of training"),
        [(s.world, *(f"{n:,}" for n in s[1:])) for s in plan.worlds]
        + [("all", f"{sum(s.cells for s in plan.worlds):,}", f"{plan.trials:,}", f"{plan.steps:,}")]
        * (len(plan.worlds) > 1),
    )
    seeds = f"{plan.seeds} seed{'s' * (plan.seeds != 1)} per cell"
    if plan.layouts:
        each = plan.seeds // plan.layouts
        seeds += f": {plan.layouts} layouts x {each}; verdicts are about layouts"
    besides = f"; {plan.references} references besides, a few seconds each, not counted here"
    _say(console, seeds + besides * (plan.references > 0))
    if plan.packing is not None:
        _say(console, _packing_line(plan.packing))
    _heading(console, "What it takes")
    for line in _cost_lines(plan):
        _say(console, line)
    _heading(console, "Smallest effect that seeds can find, in standard deviations between seeds")
    headers = ("seeds per cell", "simple", "two-way", "three-way", "equivalence margin")
    _table(console, headers, [_detectable_row(row, plan.seeds) for row in plan.detectable])
    _say(
        console,
        "80 % power at level .05, t test of groups of seeds, one comparison; Holm over several "
        "needs more. Equivalence: no true effect, shown to be smaller than the margin. Begin with "
        f"{SEEDS_OF_CONTRAST} seeds for contrasts, {SEEDS_OF_NONE} for claims of none about one "
        "arm.",
    )
    if plan.over_layouts:
        _print_over_layouts(plan, console)
    if plan.prices:
        _heading(console, "Prices of a unit acquired, in success")
        columns = ("reward", "price", "x width", "optimum", "of at most", "in")
        _table(console, columns, [_price_row(price) for price in plan.prices], words=5)
        _say(
            console,
            "x width: what is at stake in the units that success alone leaves open (the width of "
            "W(.005) of terminal at gamma 1). Optimum: success of the reward's own; of at most: "
            "the greatest that any policy has.",
        )
    _heading(console, "Success of random play, before any training")
    heads = ("chance", "steps", "successes", "in")
    _table(console, heads, [_random_row(found) for found in plan.random], words=3)
    _say(
        console,
        "Exact, uniform over legal actions, hazards on. Steps: of an episode. Successes: in the "
        "budget of pay for success alone, which teaches nothing before the first.",
    )
    if plan.claims:
        _heading(console, "Verdicts its report will give")
        told = ("claim", "a - b is", "of", "settings")
        claims = [
            (row.id, row.direction, row.contrast, str(row.comparisons)) for row in plan.claims
        ]
        _table(console, told, claims)
    _heading(console, "Comparisons its report will hold")
    _print_compared(plan, console)
    if plan.cautions:
        _heading(console, "Cautions")
    for line in plan.cautions:
        _say(console, line, bullet=True)
    _heading(console, "Suggestion")
    for line in _suggestion_lines(plan):
        _say(console, line, bullet=True)


def _print_over_layouts(plan: Plan, console: Console) -> None:
    each = plan.seeds // plan.layouts
    _heading(console, f"Smallest effect over layouts, of {plan.layouts} layouts x {each} seeds")
    headers = ("SD between layouts (assumed)", "contrast", "level", "equivalence margin")
    _table(console, headers, [tuple(f"{x:.2f}" for x in row) for row in plan.over_layouts])
    _say(
        console,
        "All in standard deviations between seeds; of a contrast the first column is that of the "
        "effect itself. 80 % power at level .05, t test over layouts, which decides verdicts: more "
        "seeds on each layout help only against chance in training, more layouts against both.",
    )


def _packing_line(packing: Packing) -> str:
    apart = (f"{world}: {', '.join(names)}" for world, names in packing.apart.items() if names)
    why = "; ".join(apart)
    return (
        f"{packing.trials:,} trials train in {packing.cohorts:,} cohort"
        f"{'s' * (packing.cohorts != 1)} of at most {packing.most}, side by side on one core each"
        f"{f'; kept apart by {why}' if why else ''}"
    )


def _cost_lines(plan: Plan) -> list[str]:
    pilot = plan.pilot
    if plan.cost is None or pilot is None:
        why = "--no-pilot, or too little time: see --pilot-seconds"
        return [f"Not measured ({why}): no time, no size on disk, no exact numbers."]
    unit = "trial" if plan.packing is None else "cohort"
    cost, at = plan.cost, f"{plan.workers} {unit}{'s' * (plan.workers != 1)} at a time"
    least, mean, most = cost.trial
    lines = [
        f"{hours_text(cost.hours)} with {at}, of which {hours_text(cost.exact)} for exact numbers; "
        f"about {size(cost.bytes)} on disk",
        f"{mean:.0f} s a trial on one core ({least:.0f} to {most:.0f}), were every trial to "
        "reach its competence",
        f"From a pilot of {hours_text(pilot.seconds / 3600)}, in processor time: for cores that "
        "do nothing else.",
    ]
    if pilot.measured < 1:
        lines.append(
            f"The pilot had time for {pilot.measured:.0%} of its measurements, of every world and "
            "agent first; the others are taken from the nearest. --pilot-seconds gives it more."
        )
    if pilot.slowed > 1.25:
        lines.append(
            f"Other work slowed the pilot {pilot.slowed:.1f} times; going on, it would slow the "
            f"sweep as much: {hours_text(cost.hours * pilot.slowed)}."
        )
    return lines


def _price_row(price: Price) -> tuple[str, ...]:
    cell, known = price.cell, (price.felt, price.success, price.greatest)
    told = (f"{value:.3f}" if isfinite(value) else "-" for value in known)
    where = f"{cell.place}, gamma {cell.gamma:g}"
    return (cell.reward_label, f"{price.price:g}", *told, where)


def _random_row(found: RandomPlay) -> tuple[str, ...]:
    if found.unknown:
        return ("-", "-", "-", found.where)
    successes = f"{found.successes:,.2g}" if isfinite(found.budget) else "-"
    return (f"{found.success:.2g}", f"{found.length:.1f}", successes, found.where)


def _detectable_row(row: Detectable, own: int) -> tuple[str, ...]:
    seeds = f"{row.seeds}{' (this study)' if row.seeds == own else ''}"
    return (seeds, *(f"{value:.2f}" if isfinite(value) else "-" for value in row[1:]))


def _print_compared(plan: Plan, console: Console) -> None:
    if not plan.compared:
        _say(console, "None: no two cells differ in just one factor and have a measure to compare.")
        return
    rows = [
        (
            row.kind,
            row.world,
            row.measure,
            str(row.configurations),
            "; ".join(row.lacks) or "nothing",
        )
        for row in plan.compared
    ]
    _table(console, ("kind", "world", "measure", "count", "lacks for a verdict"), rows, words=4)
    for kind in dict.fromkeys(row.kind for row in plan.compared):
        pairs = [pair for row in plan.compared if row.kind == kind for pair in row.pairs]
        _say(console, f"{kind}: {', '.join(dict.fromkeys(pairs))}")


def _suggestion_lines(plan: Plan) -> list[str]:
    lines = list(plan.suggestions)
    dearer = plan.compared and plan.more_seeds > plan.seeds
    if dearer and plan.cost is not None and plan.more_cost is not None:
        lines.insert(1, f"It would take {_more(plan.cost, plan.more_cost, plan)}.")
    return lines or ["Nothing lacks by design: what the data say decides."]


def _more(cost: Cost, more: Cost, plan: Plan) -> str:
    trials = plan.trials * plan.more_seeds // plan.seeds
    return (
        f"{trials:,} trials, {hours_text(more.hours)} instead of {hours_text(cost.hours)}, and "
        f"{size(more.bytes)} on disk"
    )


def hours_text(hours: float) -> str:
    """A span as people say it: ``40 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    seconds = hours * 3600
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if hours < 99.5 / 60:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def size(count: float) -> str:
    """Bytes as people say them: ``35 MB``."""
    for name, unit in (("GB", 1e9), ("MB", 1e6)):
        if count >= 0.9995 * unit:
            return f"{count / unit:.{int(count < 9.95 * unit)}f} {name}"
    return f"{count / 1000:.0f} kB"


def _heading(console: Console, line: str) -> None:
    console.print()
    console.print(Text(line, style="bold underline"))


def _say(console: Console, line: str, bullet: bool = False) -> None:
    if not bullet:
        console.print(Text(line))
        return
    drawn = Table.grid(padding=(0, 1, 0, 0))
    drawn.add_row(Text("-"), Text(line))
    console.print(drawn)


def _table(
    console: Console,
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    words: int | None = None,
) -> None:
    """The first column is words, and that numbered `words`; the others are numbers."""
    drawn = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for i, header in enumerate(headers):
        number = i not in (0, words) and (words is None or i == words - 1)
        drawn.add_column(Text(header), justify="right" if number else "left", no_wrap=i != words)
    for row in rows:
        drawn.add_row(*map(Text, row))
    console.print(Padding(drawn, 0, expand=False))
