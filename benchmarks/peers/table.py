"""Every peer beside us, by turns, and the Markdown table that comes of it."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from benchmarks.peers import environment, learners, searching, simulating, solving, training
from benchmarks.peers.sides import Broken, Comparison, Found, Running, Side, Work
from powerseek.errors import InvalidInput

COMPARISONS: dict[str, Comparison] = {
    **training.COMPARISONS,
    **learners.COMPARISONS,
    **searching.COMPARISONS,
    **simulating.COMPARISONS,
    **solving.COMPARISONS,
}
"""Task -> who does it, ours first."""

SIDES: dict[str, Callable[[], Work]] = {
    f"{task}:{name}": side.prepare
    for task, comparison in COMPARISONS.items()
    for name, side in comparison.sides.items()
}
"""``TASK:SIDE`` -> what makes it ready."""

QUICK = ("training", "random", "frontier-commons")
"""Tasks of a quick run, a turn each."""

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


@dataclass(frozen=True)
class Row:
    """A peer in a task.

    Attributes:
        task: In words.
        peer: In words.
        version: Of its library, "" where that is not there.
        ours: Our measurements, one a turn.
        theirs: Theirs, taken right after each of ours.
        note: Why there are none, if there are none.
    """

    task: str
    peer: str
    version: str = ""
    ours: tuple[Found, ...] = ()
    theirs: tuple[Found, ...] = ()
    note: str = ""


def one(name: str) -> Found:
    """One measurement of ``TASK:SIDE`` in this process, its answer left out."""
    return {key: value for key, value in SIDES[name]()(0).items() if key != "answer"}


def rows(task: str, rounds: int | None = None, say: Callable[[str], None] = print) -> list[Row]:
    """Measure a task: every peer right after us, `rounds` times (default: the task's own).

    Nothing that a side does ends the run: it becomes a note in the place of its speed.
    """
    comparison = COMPARISONS[task]
    our_name, *peers = comparison.sides
    found: dict[str, list[tuple[Found, Found]]] = {name: [] for name in peers}
    notes = {name: why for name in peers if (why := absent(comparison.sides[name]))}
    with ExitStack() as stack:
        running: dict[str, Running] = {}
        for name in (our_name, *(name for name in peers if name not in notes)):
            say(f"{comparison.words}: {comparison.sides[name].words} gets ready")
            running[name] = stack.enter_context(Running(f"{task}:{name}"))
            try:
                running[name].ready()
            except Broken as error:
                notes[name] = str(error)
        if our_name in notes:
            notes = dict.fromkeys(peers, notes[our_name])
        for turn in range(rounds or comparison.rounds):
            for name in (name for name in peers if name not in notes):
                say(f"{comparison.words}, turn {turn + 1}: {comparison.sides[name].words}")
                try:
                    pair = running[our_name].measure(turn), running[name].measure(turn)
                except Broken as error:
                    notes[name] = str(error)
                    continue
                found[name].append(pair)
                if why := unequal(comparison, *pair):
                    notes[name] = why
    return [_row(comparison, name, found[name], notes.get(name, "")) for name in peers]


def _row(comparison: Comparison, name: str, pairs: Sequence[tuple[Found, Found]], note: str) -> Row:
    side = comparison.sides[name]
    told = "" if absent(side) else version(side.library)
    if note:
        return Row(comparison.words, side.words, told, note=note)
    ours, theirs = (tuple(one) for one in zip(*pairs, strict=True))
    return Row(comparison.words, side.words, told, ours, theirs)


def absent(side: Side) -> str:
    """Why its library is not there, or ""."""
    try:
        version(side.library)
    except PackageNotFoundError:
        why = environment.reasons().get(side.library, "run make bench")
        return f"not installed: {why}"
    return ""


def unequal(comparison: Comparison, ours: Found, theirs: Found) -> str:
    """Why no speed is told: the answers differ. "" where they do not, or where there are none."""
    if comparison.apart is None:
        return ""
    apart = comparison.apart(ours["answer"], theirs["answer"])
    if apart <= comparison.tolerance:  # not of nan
        return ""
    return f"no speed: its answer is {apart:.1e} from ours"


def markdown(measured: Sequence[Row], machine: Mapping[str, str]) -> str:
    """The machine, then a line a peer; a median of ratios with the least and the greatest."""
    lines = [f"- {name}: {told}" for name, told in machine.items()]
    lines += [
        "",
        "| task | peer | version | peer takes | ours takes | ours is faster by | answers |",
    ]
    lines += ["| :-- | :-- | :-- | --: | --: | --: | :-- |"]
    before = ""
    for row in measured:
        task, before = ("" if row.task == before else row.task), row.task
        lines.append("| " + " | ".join([task, row.peer, row.version, *_cells(row)]) + " |")
    return "\n".join(lines)


def _cells(row: Row) -> list[str]:
    if row.note:
        return ["", "", "", row.note.replace("|", "/")]
    ratios = [_each(b) / _each(a) for a, b in zip(row.ours, row.theirs, strict=True)]
    told = _times(median(ratios))
    if len(ratios) > 1:
        told += f" ({_number(min(ratios))} to {_number(max(ratios))})"
    taken = [_taken(side) for side in (row.theirs, row.ours)]
    return [*taken, told, _answers(row)]


def _taken(side: Sequence[Found]) -> str:
    told = _time(median(map(_each, side)), "steps" in side[0])
    if "flops" not in side[0]:
        return told
    return f"{told}, {median(one['flops'] / one['seconds'] for one in side) / 1e9:.2g} GFLOP/s"


def _each(found: Found) -> float:
    """Seconds a step, or for the whole."""
    return float(found["seconds"] / found.get("steps", 1))


def _answers(row: Row) -> str:
    if "competence" not in row.ours[0]:
        return "equal" if "answer" in row.ours[0] else "another game"
    theirs, ours = (
        sum(found["competence"] for found in side) / len(side) for side in (row.theirs, row.ours)
    )
    return f"competence {theirs:.2f}, ours {ours:.2f}"


def _time(seconds: float, by_step: bool) -> str:
    if by_step:
        return f"{1 / seconds:,.0f} steps/s"
    scale, unit = next(
        (s, u) for s, u in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")) if seconds * s >= 1 or s == 1e6
    )
    return f"{seconds * scale:.3g} {unit}"


def _times(ratio: float) -> str:
    return f"{_number(ratio)} x"


def _number(x: float) -> str:
    return f"{x:,.0f}" if x >= 10 else f"{x:.1f}"


def machine(load: tuple[float, float, float]) -> dict[str, str]:
    """What measured and when; `load` from before."""
    names = ("powerseek", "numpy", "numba", "torch")
    missing = "; ".join(f"{name} ({why})" for name, why in environment.reasons().items())
    return {
        "Processor": f"{processor()}, {len(os.sched_getaffinity(0))} cores, one thread each side",
        "Load before": ", ".join(f"{x:.1f}" for x in load) + " (1, 5 and 15 minutes)",
        "Date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()) + revision(),
        "Versions": ", ".join(
            [f"Python {platform.python_version()}", *(f"{n} {version(n)}" for n in names)]
        ),
        **({"Not installed": missing} if missing else {}),
        "Unit": "seconds of processor time; ratios: median (least to greatest) of the turns",
    }


def processor(path: Path = Path("/proc/cpuinfo")) -> str:
    """Its name, with what tells it apart where the name alone does not."""
    if not path.exists():
        return platform.processor() or platform.machine()
    fields: dict[str, str] = {}
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    wide = "AVX-512" if "avx512f" in fields.get("flags", "") else "AVX2"
    family = f"family {fields.get('cpu family', '?')} model {fields.get('model', '?')}"
    return f"{fields.get('model name', platform.machine())} ({family}, {wide})"


def revision() -> str:
    """``, revision ...`` of the checkout, or ""."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:
        return ""
    return f", revision {done.stdout.strip()}" if done.returncode == 0 else ""


def replaced(page: str, table: str) -> str:
    """The page with `table` between its markers, in the place of what was there.

    Raises:
        InvalidInput: The markers are not there, once and in this order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in before + after:
        raise InvalidInput("--write", "a page without its markers", f"one with {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"
