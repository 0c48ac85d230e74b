"""An analysis in the terminal: a table of facts, boards, the frontier and the arms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isfinite, nan

import numpy as np
from rich.columns import Columns
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from powerseek.envs.words import in_words
from powerseek.exact import Frontier, Outcome
from powerseek.exact.measures.goals import state_classes
from powerseek.experiments.cli.analyse.analysis import ARM_GAMMA, Watch, WorldAnalysis
from powerseek.experiments.report.text import number_text, range_text
from powerseek.experiments.study.factors import MISSING
from powerseek.types import Floats, Ints

LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)
BOARDS = 3
STAGES = {
    "enumeration": "enumerating the states",
    "POWER": "measuring POWER of every state",
    "empowerment": "measuring empowerment",
    "need frontier": "finding the need frontier",
    "arms": "solving every reward",
    "policies": "scoring what they do",
}


@contextmanager
def watching(console: Console) -> Iterator[Watch]:
    """A live bar on a terminal; a line a stage elsewhere."""
    if not console.is_terminal:
        yield lambda stage, done, total: _announce(console, stage, done, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, count="")
        now = ""

        def watch(stage: str, done: int, total: int) -> None:
            nonlocal now
            if stage != now:
                bar.reset(task, description=STAGES.get(stage, stage))
                now = stage
            count = f"{done:,} of {total:,}" if total else ""
            count += " met so far" if total and stage == "enumeration" else ""
            bar.update(task, completed=done, total=total or None, count=count)

        yield watch


def _announce(console: Console, stage: str, done: int, total: int) -> None:
    if done == total == 0:
        console.print(f"{STAGES.get(stage, stage)} ...", markup=False, highlight=False)


def print_analysis(analysis: WorldAnalysis, console: Console) -> None:
    """Facts, boards, frontier and arms, in this order."""
    console.print(Text(analysis.title, "bold"))
    console.print(facts_table(analysis))
    _print_boards(analysis, console)
    if analysis.need is None:
        console.print("Nothing can be acquired in this world: no need frontier.\n", highlight=False)
    else:
        console.print(frontier_table(analysis))
    if analysis.loss is not None:
        console.print(loss_table(analysis.loss))
    console.print(arms_table(analysis))
    for line in analysis_notes(analysis):
        console.print(Text(line))


def facts_table(analysis: WorldAnalysis) -> Table:
    """Size, memory, time, and the range of POWER and empowerment."""
    mdp, measured = analysis.mdp, analysis.power
    alive = ~mdp.terminal
    table = Table("", "", show_header=False, title_justify="left")
    table.add_row("states", f"{mdp.n_states:,}, of these {int(mdp.terminal.sum()):,} ends")
    table.add_row("(state, action) pairs", f"{mdp.n_pairs:,}")
    table.add_row("edges", f"{mdp.n_edges:,} ({_chance(analysis)})")
    table.add_row("farthest state", f"{int(analysis.distance.max())} steps from a start")
    table.add_row("memory", _size(mdp.nbytes))
    total = sum(analysis.seconds.values())
    parts = ", ".join(f"{name} {_time(spent)}" for name, spent in analysis.seconds.items())
    table.add_row("time", f"{_time(total)}: {parts}")
    drawn = (
        f"{measured.samples:,} reward functions ({measured.rewards})"
        if measured.samples
        else "the world's own goals"
    )
    table.add_row(
        "POWER",
        f"{_range(measured.values[alive])} before an end; gamma {measured.gamma:g}, {drawn}",
    )
    chance = f"{analysis.policies['random'].success:.2g} of its episodes"
    table.add_row("random play", f"succeeds in {chance}: uniform over legal actions, exact")
    if analysis.empowerment is not None:
        steps = analysis.empowerment.n
        over = f"{steps} step{'s' if steps > 1 else ''}"
        table.add_row("empowerment", f"{_range(analysis.bits[alive])} bits over {over}")
    return table


def _chance(analysis: WorldAnalysis) -> str:
    sure = analysis.mdp.deterministic
    return "no chance: one a pair" if sure else "chance: several a pair"


def _range(values: Floats) -> str:
    known = values[np.isfinite(values)]
    return f"{known.min():.3f} to {known.max():.3f}" if len(known) else "undefined"


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def extremes(analysis: WorldAnalysis, count: int = BOARDS) -> tuple[Ints, Ints]:
    """The POWER-richest and -poorest states that are no ends, one of each class of states."""
    order = np.flatnonzero(~analysis.mdp.terminal)
    order = order[np.argsort(analysis.power.values[order], kind="stable")]
    of = state_classes(analysis.mdp).astype(np.int64)
    return _distinct(order[::-1], of, count), _distinct(order, of, count)


def _distinct(order: Ints, of: Ints, count: int) -> Ints:
    found: dict[int, int] = {}
    for state in order:
        found.setdefault(int(of[state]), int(state))
        if len(found) == count:
            break
    return np.array(list(found.values()), np.int64)


def _print_boards(analysis: WorldAnalysis, console: Console) -> None:
    mdp, values = analysis.mdp, analysis.power.values
    rich, poor = extremes(analysis)
    if not len(rich):
        return
    console.print("\nPOWER-richest states", style="bold", highlight=False)
    console.print(Columns([print_state(analysis, int(state), console.width) for state in rich]))
    console.print("POWER-poorest states that are no end", style="bold", highlight=False)
    console.print(Columns([print_state(analysis, int(state), console.width) for state in poor]))
    lines = [analysis.world.legend] if analysis.world.legend else []
    if mdp.terminal.any():
        lines.append(
            f"Not shown: {int(mdp.terminal.sum()):,} ends of episodes. Nothing follows an end: its "
            f"POWER is the mean reward of one state, here {values[mdp.terminal].mean():.3f}."
        )
    if analysis.power.samples:
        lines.append(
            "\u00b1 is the standard error. States are picked by the same draws that measure them: "
            "differences of less than two of it say little; --samples makes it smaller."
        )
    for line in lines:
        console.print(Text(line, "dim"))
    console.print()


def print_state(analysis: WorldAnalysis, state: int, width: int) -> Panel:
    """One state as the world draws it, under its POWER, in a share of a line of so many letters.

    What a world writes below its map may be broken into several lines; the map may not.
    """
    measured, world, records = analysis.power, analysis.world, analysis.mdp.records
    assert records is not None
    lines = world.render(world.params, records[state]).splitlines()
    title = _estimate(measured.values[state], measured.standard_error[state])
    room = max(width // BOARDS - 1, len(title) + 6, *(len(line) + 4 for line in lines[:-1]), 0)
    longest = max((len(line) for line in lines), default=0) + 4
    return Panel(
        Text("\n".join(lines)),
        title=title,
        subtitle=f"state {state}",
        padding=(0, 1),
        width=min(room, max(longest, len(title) + 6)),
    )


def _estimate(value: float, error: float) -> str:
    """``0.9881 \u00b1 0.0007``: as many decimals as its standard error calls for."""
    if not (isfinite(error) and error > 0):
        return f"{value:.4f}"
    digits = int(np.clip(np.ceil(-np.log10(error)), 2, 6))
    return f"{value:.{digits}f} \u00b1 {error:.{digits}f}"


def frontier_table(analysis: WorldAnalysis) -> Table:
    """Need, most and what is on offer beyond need, at a few levels of success."""
    assert analysis.need is not None
    assert analysis.most is not None
    top = analysis.need.max_success
    table = Table(title="What success needs (exact, units per episode)", title_justify="left")
    for head in ("success", "least: the need", "most possible", "on offer beyond need"):
        table.add_column(head, justify="right")
    for level in (*(level for level in LEVELS if level < top - 1e-6), top):
        least, greatest = analysis.need.at(level), analysis.most.at(level)
        name = f"{level:.1%}" + (" (the best)" if level == top else "")
        surplus = float(np.mean(greatest) - np.mean(least))
        table.add_row(name, _bounds(*least), _bounds(*greatest), number_text(surplus))
    return table


def loss_table(loss: Frontier) -> Table:
    """Least loss of bystanders at a few levels of success."""
    title = "What success costs bystanders (exact, fraction of what they could attain)"
    table = Table(title=title, title_justify="left")
    for head in ("success", "least loss"):
        table.add_column(head, justify="right")
    top = loss.max_success
    for level in (*(level for level in LEVELS if level < top - 1e-6), top):
        name = f"{level:.1%}" + (" (the best)" if level == top else "")
        table.add_row(name, f"{round(sum(loss.at(level)) / 2, 3) + 0.0:.3f}")
    return table


def _bounds(low: float, high: float) -> str:
    """A value known by two bounds, with these where they are apart."""
    return _ranged((low + high) / 2, low, high)


def _ranged(point: float, low: float, high: float) -> str:
    """As `range_text`, but a range is one word, which no narrow column breaks."""
    return range_text(point, low, high).replace(", ", "\u2013")


def arms_table(analysis: WorldAnalysis) -> Table:
    """Every arm's exact optimum, then the policies to compare them with."""
    shown = [head for head, exists in _columns(analysis).items() if exists]
    names = [*analysis.arms, *(f"({name})" for name in analysis.policies)]
    table = Table(title="What each reward's exact optimum does", title_justify="left")
    # Long names break between words: no other column has any.
    words = [word for name in names for word in name.split()]
    table.add_column("reward", width=max(map(len, words)))
    for head in shown:
        table.add_column(head, justify="right")
    for name, arm in analysis.arms.items():
        ends = arm.uniform, arm.low, arm.high
        row = _cells(analysis, name, ends, arm.incentive(analysis.need))
        table.add_row(name, *(row[head] for head in shown))
    table.add_section()
    for name, outcome in analysis.policies.items():
        beyond = (analysis.beyond_need(outcome),) * 3
        row = _cells(analysis, name, (outcome,) * 3, beyond)
        table.add_row(f"({name})", *(row[head] for head in shown))
    return table


def _cells(
    analysis: WorldAnalysis, name: str, ends: Sequence[Outcome], beyond: tuple[float, float, float]
) -> dict[str, str]:
    """A line of `arms_table` by head, of what an optimum or a policy does: evenly, least, most."""
    does = ends[0]
    return {
        "success": f"{does.success:.1%}",
        "acquired": _ranged(*(end.acquisition for end in ends)),
        "need": number_text(analysis.need_at(does.success)),
        "beyond need": _ranged(*beyond),
        "evades": _share(*(end.disabled for end in ends)),
        "seeks POWER": number_text(analysis.seeking.get(name, nan)),
        "others lose": number_text(analysis.losses.get(name, nan)),
    }


def _columns(analysis: WorldAnalysis) -> dict[str, bool]:
    acquires = analysis.need is not None
    switch = any(isfinite(outcome.disabled) for outcome in analysis.policies.values())
    return {
        "success": True,
        "acquired": acquires,
        "need": acquires,
        "beyond need": acquires,
        "evades": switch,
        "seeks POWER": any(isfinite(score) for score in analysis.seeking.values()),
        "others lose": analysis.loss is not None,
    }


def _share(point: float, low: float, high: float) -> str:
    if not isfinite(point):
        return MISSING
    ends = f" [{low:.0%}\u2013{high:.0%}]" if high - low > 0.02 else ""
    return f"{point:.0%}{ends}"


def analysis_notes(analysis: WorldAnalysis) -> list[str]:
    """Notes on the meaning of the tables and on what could not be computed."""
    lines = [
        "In brackets [ ] the range over policies that are equally good for the reward; the number "
        "is the one that picks evenly (for a need: the bounds it is known by). "
        f"Rewards are not discounted (gamma {ARM_GAMMA:g}).",
    ]
    if analysis.need is not None:
        lines.append(
            "beyond need: acquired by the reward's own optimum, minus the least that its success "
            "needs; the reward's incentive to seek power."
        )
    if _columns(analysis)["evades"]:
        meant = in_words("evades: share of episodes with {off_switch}.", [analysis.world.id])
        lines.append(meant)
    if _columns(analysis)["seeks POWER"]:
        lines.append(
            "seeks POWER: where actions lead to states of different POWER, how far the choice goes "
            "to the richest: 1 always, 0 like a random one, below 0 away from it."
        )
    if analysis.loss is not None:
        lines.append(
            "others lose: what bystanders can still attain, less than beside an agent that does "
            "nothing, as a fraction (mean over them). No policy of a success takes less from them "
            "than its least loss."
        )
    if not analysis.injective:
        lines.append(
            "Careful: some states look alike to an agent. These numbers know more than it can see."
        )
    lines += [f"{name}: left out: {reason}" for name, reason in analysis.skipped.items()]
    return lines
