"""Time left: right within a factor of two once a tenth of the work is done."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from rich.console import Console

from powerseek.experiments.sweep.progress import Display, Kind, Piece, Tally, clock

CHEAP, DEAR = Kind("ppo", "a", 100_000), Kind("ppo", "b", 100_000)
KNOWN = Kind("random", "a", 0)


def simulated(cohorts, costs, workers=2, first=None):
    """(fraction of the time gone, time said to be left / time left) whenever a cohort ends."""
    kinds = Counter(kind for kind, trials in cohorts for _ in range(trials))
    tally = Tally(sum(kinds.values()), 0, kinds, workers)
    free, pieces, extra = [0.0] * workers, [], dict(first or {})
    for kind, trials in cohorts:
        begun = min(free)
        exact = extra.pop(kind, 0.0)
        end = begun + trials * costs[kind] + exact
        free[free.index(begun)] = end
        pieces.append((end, Piece(kind, trials, begun), exact))
    found = []
    for end, piece, exact in sorted(pieces):
        for _ in range(piece.trials):
            tally.ended(piece.kind, failed=False)
        tally.took(piece.kind, piece.trials, end - piece.begun, exact)
        tally.running = [other for until, other, _ in pieces if other.begun <= end < until]
        if end < max(free):
            found.append((end / max(free), tally.seconds_left(end) / (max(free) - end)))
    return found


def test_equal_trials_leave_exactly_what_they_leave():
    found = simulated([(CHEAP, 4)] * 40, {CHEAP: 10.0}, workers=1)
    assert [ratio for _, ratio in found] == pytest.approx([1.0] * 39)


def test_agents_of_one_setting_share_its_exact_numbers():
    """Many references at the end of a study bring no exact numbers of their own."""
    others = [Kind(f"agent {i}", "a", 0) for i in range(30)]
    cohorts = [(CHEAP, 4)] * 10 + [(kind, 1) for kind in others]
    costs = {CHEAP: 10.0, **dict.fromkeys(others, 1.0)}
    found = simulated(cohorts, costs, first={CHEAP: 40.0})
    assert all(0.5 <= ratio <= 2 for _, ratio in found)


@pytest.mark.parametrize("dearer", [1, 3, 5])
@pytest.mark.parametrize("exact", [0, 20])
def test_right_within_a_factor_of_two_after_a_tenth(dearer, exact):
    cohorts = [(CHEAP, 4), (DEAR, 4)] * 10
    costs = {CHEAP: 2.0, DEAR: 2.0 * dearer}
    found = simulated(cohorts, costs, first={DEAR: exact, CHEAP: exact / 4})
    late = [ratio for gone, ratio in found if gone >= 0.1]
    assert late
    assert all(0.5 <= ratio <= 2 for ratio in late)


def test_agents_that_need_no_training_say_nothing_of_training():
    tally = Tally(3, 0, Counter({KNOWN: 1, CHEAP: 2}))
    tally.ended(KNOWN, failed=False)
    tally.took(KNOWN, 1, 0.5)
    assert tally.seconds_left(1.0) is None
    assert tally.line(None) == "1 of 3 done · 0 running · 0 failed · time left: not known yet"


def test_between_ends_the_time_left_runs_down_to_zero():
    now = [0.0]
    tally = Tally(2, 0, Counter({CHEAP: 2}))
    display = Display(tally, Console(file=io.StringIO()), every=0.0, now=lambda: now[0])
    tally.ended(CHEAP, failed=False)
    tally.took(CHEAP, 1, 90.0)
    said = []
    for now[0] in (90.0, 100.0, 1000.0):
        said.append(display._line().split(" · ")[-1])
    assert said == ["1:30 left", "1:20 left", "0:00 left"]


def test_clocks():
    assert [clock(x) for x in (0, 200, 3800)] == ["0:00", "3:20", "1:03:20"]
