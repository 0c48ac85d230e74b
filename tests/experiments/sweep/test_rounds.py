"""A sweep that has so many hours ends balanced: whole seeds of every cell, by a made-up clock."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import killing
import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerseek.experiments.console import Console
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.grid import Trial
from powerseek.experiments.study.schema import make_study
from powerseek.experiments.sweep.cohorts import Cohort, make_cohorts
from powerseek.experiments.sweep.progress import Display, Tally
from powerseek.experiments.sweep.rounds import Pace, rounds, rounds_in_time, span

GIVEN: dict[str, Any] = {
    "name": "tiny",
    "worlds": [
        {"id": "off-switch", "max_steps": [12, 16]},
        {"id": "star", "timesteps": 3000},
    ],
    "rewards": ["dense", {"every": "cap"}],
    "agents": "random",
    "references": ["minimalist"],
    "seeds": 20,
    "timesteps": 1000,
}
CELLS = 6
GRID = trials(make_study(GIVEN))
ROUND = 4 * 1000 + 2 * 3000
"""Steps of a seed of every cell."""


class Machine:
    """Workers that take a second for so many steps, and some to start.

    The first cohort of all takes longer: `cold` seconds, which count as its own work.
    """

    def __init__(self, workers: int, speed: float, start: float = 0.0, cold: float = 0.0) -> None:
        self.workers, self.speed, self.start, self.cold = workers, speed, start, cold
        self.clock = self.busy = 0.0
        self.done: list[Trial] = []
        self.parts: list[int] = []

    def run(self, some: Sequence[Trial], until: float, most: int = 1) -> None:
        """Run what is begun, to its end or until time is up."""
        pack = partial(make_cohorts, most=most)
        clocks = (lambda: self.busy, lambda: self.clock)
        for cohorts in rounds_in_time(some, pack, self.workers, until, *clocks):
            self.parts.append(len(cohorts))
            if not self.finished(cohorts, until):
                return

    def finished(self, cohorts: Sequence[Cohort], until: float) -> bool:
        free = [self.clock + self.start] * self.workers
        for cohort in cohorts:
            took = sum(trial.cell.timesteps for trial in cohort) / self.speed + self.cold
            self.cold = 0.0
            at = free.index(min(free))
            if free[at] + took <= until:
                self.done += cohort
            free[at] += took
            self.busy += took
        self.clock = max(free)
        return self.clock <= until

    @property
    def seeds(self) -> list[int]:
        """Seeds that each cell has."""
        counts = Counter(trial.cell.key for trial in self.done if not trial.cell.is_reference)
        return [counts[key] for key in dict.fromkeys(t.cell.key for t in GRID[:CELLS])]


def test_rounds_are_the_seeds_and_the_first_has_the_references() -> None:
    first, *others = rounds(GRID)
    assert [{trial.seed for trial in part} for part in others] == [{s} for s in range(1, 20)]
    assert {len(part) for part in others} == {CELLS}
    assert first[:CELLS] == list(GRID[:CELLS])
    assert [trial.cell.is_reference for trial in first[CELLS:]] == [True] * len(first[CELLS:])
    assert sorted(t.key for part in rounds(GRID) for t in part) == sorted(t.key for t in GRID)
    references = [trial for trial in GRID if trial.cell.is_reference]
    assert rounds(references) == [references]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_time_for_so_many_seeds_gives_every_cell_nearly_as_many(workers: int) -> None:
    machine = Machine(workers, speed=1000.0)
    machine.run(GRID, until=9.5 * ROUND / 1000 / workers)
    assert len(set(machine.seeds)) == 1
    assert 6 <= machine.seeds[0] <= 9
    assert len(machine.parts) < 8  # not one by one


def test_all_is_run_where_time_suffices_and_the_first_seed_whatever_it_takes() -> None:
    machine = Machine(2, speed=1000.0)
    machine.run(GRID, until=1e9)
    assert sorted(t.key for t in machine.done) == sorted(t.key for t in GRID)
    assert len(machine.parts) == 2
    machine = Machine(2, speed=1.0)
    machine.run(GRID, until=4000.0)
    assert len(machine.parts) == 1
    assert machine.seeds == [1, 1, 1, 1, 0, 0]


def test_what_is_left_of_a_seed_is_no_measure_of_a_whole_one() -> None:
    """Alone, one short trial in a process that has just started would look endless."""
    machine = Machine(1, speed=1000.0, cold=20.0)
    machine.run(GRID[CELLS - 1 : 20 * CELLS], until=100.0)
    assert machine.parts[0] == 1 + CELLS
    assert len(machine.parts) > 1
    assert machine.seeds[CELLS - 1] >= 5


def test_a_round_that_leaves_workers_idle_takes_others_with_it() -> None:
    """One trial a round on four workers: four rounds take as long as one."""
    one = [trial for trial in GRID if trial.cell.key == GRID[0].cell.key]
    machine = Machine(4, speed=1000.0)
    machine.run(one, until=2.2)
    assert machine.parts == [4, 4]


@given(
    st.integers(1, 6),
    st.floats(0, 20),
    st.floats(0.1, 400),
    st.integers(0, len(GRID) - 1),
    st.integers(1, 8),
)
def test_where_the_pace_holds_no_seed_is_begun_in_vain(
    workers: int, start: float, time: float, after: int, most: int
) -> None:
    machine = Machine(workers, 1000.0, start)
    machine.run(GRID[after:], until=time, most=most)
    whole = rounds(GRID[after:])
    if len(machine.parts) > 1:
        # Whatever was begun after the first part is finished.
        assert machine.clock <= time
        counts = {len(part) for part in _by_seed(machine.done).values()}
        assert counts <= {*map(len, whole)}


def _by_seed(done: Sequence[Trial]) -> dict[int, list[Trial]]:
    held: dict[int, list[Trial]] = {}
    for trial in done:
        held.setdefault(-1 if trial.cell.is_reference else trial.seed, []).append(trial)
    if -1 in held:
        held[min(seed for seed in held if seed >= 0)] += held.pop(-1)
    return held


def test_pace_foretells_what_it_was_measured_on() -> None:
    cohorts = make_cohorts(GRID[: 3 * CELLS])
    pace = Pace.measured(cohorts, took=40.0, busy=60.0, workers=2)
    assert pace.seconds(cohorts) == pytest.approx(40.0)
    assert pace.step == pytest.approx(60.0 / (3 * ROUND))
    assert span(cohorts[:3], 2) == 2000
    assert span(cohorts, 1) == 3 * ROUND
    assert span(cohorts, 1000) == 3000


@pytest.mark.parametrize(("until", "ends"), [(inf, False), (0.0, True)])
def test_a_sweep_ends_as_by_ctrl_c_once_its_time_is_up(until: float, ends: bool) -> None:
    from powerseek.experiments.sweep.tune import SweepCallback

    display = Display(Tally(1, 0, 1), Console(file=io.StringIO()))
    callback = SweepCallback([], Store("nowhere"), display, until=until)
    with pytest.raises(KeyboardInterrupt) if ends else nullcontext():
        callback.on_step_end(0, [])


SCRIPT = f"""
from powerseek.experiments import run_study
if __name__ == "__main__":
    given = {GIVEN!r} | dict(agents="maskable-ppo", worlds=[dict(id="off-switch", max_steps=12)])
    given |= dict(settings={{"maskable-ppo": dict(n_envs=16, n_steps=16, batch_size=128, net=[8])}})
    found = run_study(given | dict(timesteps=10**8, seeds=2), "out", workers=2, hours=60 / 3600)
    print("LEFT", len(found.left), len(found.results))
"""


@pytest.mark.slow  # a minute; what ends it is Ctrl-C's way out, which CI walks elsewhere
def test_trials_that_are_under_way_keep_a_checkpoint_and_nothing_runs_on(tmp_path: Path) -> None:
    with killing.started(SCRIPT, tmp_path) as process:
        assert killing.wait_for(lambda: bool(killing.descendants(process.pid)), process)
        below = [pid for pid, _ in killing.descendants(process.pid)]
        assert process.wait(300) == 0, (tmp_path / "said.txt").read_text()
    assert killing.gone(below, 5)
    said = (tmp_path / "said.txt").read_text()
    assert "LEFT 5 0" in said
    assert "Traceback" not in said
    assert len(list((tmp_path / "out/internals/checkpoints").glob("*.zip"))) == 2
