"""A small study, and what a fault may not do to it: nothing is lost, changed, torn or left."""

from __future__ import annotations

import contextlib
import difflib
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest

from powerseek.agents import load_agent
from powerseek.errors import InvalidInput
from powerseek.experiments import checksums, layout
from powerseek.experiments.cli import app as cli
from powerseek.experiments.console import warn
from powerseek.experiments.results.schema import SCHEMA
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.grid import Trial
from powerseek.experiments.sweep import oracles, tune
from powerseek.experiments.sweep.progress import Display
from powerseek.experiments.sweep.worker import run_and_keep

STUDY = """
name: chaos
worlds: [{id: off-switch, max_steps: 12}]
rewards: [dense, {every: cap}]
agents: [maskable-ppo]
references: [minimalist]
seeds: 2
timesteps: 5120
episodes: 40
evaluations: 4
competence: [0.001, 0.5]
settings: {maskable-ppo: {n_envs: 16, n_steps: 16, batch_size: 128, n_epochs: 1, net: [8]}}
hypotheses: [{id: H1, contrast: timing, direction: larger, margin: 0.5, measure: disabled}]
"""
TRIALS = 5
WORDS = ("sweep", "study.yaml", "--out", "out", "--resume", "--workers", "2")
SCRIPT = """
import functools, sys
from powerseek.experiments.cli import app

ask = app._ask

def often(*given):  # the last step before a sweep's own imports: none is made earlier than usual
    from powerseek.experiments import run
    run.run_study = functools.partial(run.run_study, checkpoint_seconds=0.0)
    ask(*given)

app._ask = often
if __name__ == "__main__":
    sys.argv[0] = "powerseek"
    app.main()
"""
"""The real command line, but for a checkpoint after every update: the option is Python's alone."""

ENDS = {".png": b"IEND", ".svg": b"</svg>", ".html": b"</html>"}
SEALED = (".parquet", ".json", ".npz", ".gz", ".yaml")
TROUBLE = re.compile(
    r"Traceback|^\s+File \".*\", line|Exception ignored|Fatal Python|\*\*\* SIG|core dumped", re.M
)
OF_A_RUN = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC|^- (made by|finished|wall time): .*$", re.M)
ASIDE = layout.PROVENANCE.removesuffix(".json")
"""What the names of a record of runs begin with, and of a damaged one that is kept aside."""
OF_RUNS = (layout.TENSORBOARD, layout.EVENTS, layout.REPORT, layout.DRAWN, layout.LOCK, ASIDE)
"""Files that name times of a run, or of files that do."""


class Said(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


def answer(*words: str) -> Said:
    """The answer to a command line in this process, which knows no more than a new one."""
    out, err = io.StringIO(), io.StringIO()
    oracles._oracle.cache_clear()
    oracles._optimum.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["powerseek", *words])
        patch.setattr(tune, "sweep", without_ray)
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            cli.main()
    return Said(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def without_ray(
    parts: Iterable[Sequence[Sequence[Trial]]],
    grid: Sequence[Trial],
    store: Store,
    display: Display,
    *how: Any,
) -> None:
    """Run every cohort here, as a worker would."""
    *_, told = how
    for cohort in chain.from_iterable(parts):
        run_and_keep(cohort, store, 0.0, lambda text: warn(display.console, text))
        for trial in cohort:
            told(trial)


class Tally(Counter[str]):
    """Counts of one kind of fault, printed as one line."""

    HARM = ("lost", "changed", "torn", "temporaries", "tracebacks", "left")
    NAMES = ("faults", "survived", "resumed", "refused", *HARM)

    def harmed(self, fault: str, **harm: Sequence[object]) -> None:
        """Count what a fault has done, each kind of harm once, and print what it was."""
        for name, found in harm.items():
            self[name] += bool(found)
            if found:
                print(f"\n{fault}: {name}: {found}")

    def show(self, what: str) -> None:
        print(f"\n{what}: " + ", ".join(f"{self[name]} {name}" for name in self.NAMES))

    def check(self, count: int) -> None:
        """Every fault came, and none did harm."""
        assert self["faults"] == count
        assert self["survived"] + self["resumed"] + self["refused"] == count
        assert not any(self[name] for name in self.HARM), dict(self)


def held(out: Path) -> dict[str, object]:
    """All that a finished study holds, as it must be in every run, by the file's name."""
    found: dict[str, object] = {}
    for path in files(out):
        name = path.relative_to(out).as_posix()
        data = path.read_bytes()
        if name.startswith(OF_RUNS):
            continue
        if name == layout.SUMMARY:
            found[name] = OF_A_RUN.sub("", data.decode())
        elif name == layout.REGISTRATION:
            said = json.loads(data)
            found[name] = [said[key] for key in ("registered", "late", "changes")]
        elif name.startswith(layout.MODELS):
            found[name] = weights(path)
        else:
            found[name] = data
    return found


def weights(path: Path) -> dict[str, object] | None:
    """The weights of a model, whose file names times; None where it is refused."""
    try:
        network = load_agent(path).policy.network  # type: ignore[attr-defined]  # it has one
    except InvalidInput:
        return None
    return {part: values.tolist() for part, values in network.state_dict().items()}


def differences(out: Path, whole: dict[str, object]) -> list[str]:
    """Files of a finished study that are not as in the undisturbed run, missing or too many."""
    found = held(out)
    for name in (layout.SUMMARY, layout.STUDY):
        was, now = (str(side.get(name, "")).splitlines() for side in (whole, found))
        print(*difflib.unified_diff(was, now, lineterm="", n=0), sep="\n", end="")
    return sorted(n for n in {*found, *whole} if found.get(n) != whole.get(n))


def files(out: Path) -> list[Path]:
    return sorted(path for path in out.rglob("*") if path.is_file())


def finished(out: Path) -> dict[str, int]:
    """Trials that have rows and did not fail, and when those were written."""
    return {
        path.name: path.stat().st_mtime_ns
        for path in (out / layout.ROWS).glob("[!.]*.parquet")
        if pq.read_table(path, schema=SCHEMA).column("status")[0].as_py() != "failed"
    }


def lost(out: Path, before: dict[str, int]) -> list[str]:
    """Finished trials of before whose rows are gone, or were made once more."""
    now = finished(out)
    return [name for name, when in before.items() if now.get(name) != when]


def torn(out: Path) -> list[str]:
    """Files under their own names that are not whole."""
    found = []
    for path in files(out):
        name = path.relative_to(out).as_posix()
        if path.name[0] == "." or name.startswith(
            (layout.TENSORBOARD, layout.EVENTS, f"{ASIDE}.damaged")
        ):
            continue
        data = path.read_bytes()
        try:
            if path.suffix in SEALED:
                checksums.verify(data, required=True)
        except checksums.Altered:
            found.append(name)
        if ENDS.get(path.suffix, b"") not in data[-200:]:
            found.append(name)
    return found


def temporaries(out: Path) -> list[str]:
    return [path.name for path in files(out) if path.name[0] == "."]


def troubles(text: str) -> list[str]:
    """What a terminal shows that no user should see."""
    return [text] if TROUBLE.search(text) else []
