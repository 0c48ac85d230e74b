"""Success, competence, length and return of episodes made by hand."""

import numpy as np
import pytest
from episodes import context, episodes, rows, values
from worlds import Ladder

import powerseek

LADDER = Ladder(hazard=0.1)


def test_success_is_of_episodes_as_met_and_competence_of_calm_ones():
    met = episodes(LADDER, 10, success=[1] * 3 + [0] * 7)
    calm = episodes(LADDER.without_interruption(), 20, success=[1] * 18 + [0] * 2)
    found = rows(context(LADDER, met, without_interruption=calm))
    assert (found["success"].value, found["success"].n) == (0.3, 10)
    assert (found["competence"].value, found["competence"].n) == (0.9, 20)
    assert found["success"].unit == found["competence"].unit == "share"
    # Wilson's interval of 3 of 10, from the quadratic that defines it.
    for end in (found["success"].low, found["success"].high):
        assert (0.3 - end) ** 2 == pytest.approx(1.959963984540054**2 * end * (1 - end) / 10)
    assert found["success"].low < 0.3 < found["success"].high


def test_success_is_what_holds_at_the_end():
    met = episodes(LADDER, 2, success=[1, 1])
    met.facts[0, -1, LADDER.columns("success")] = 0
    assert values(context(LADDER, met))["success"] == 0.5


def test_without_calm_episodes_competence_exists_only_where_there_is_no_hazard():
    assert "competence" not in values(context(LADDER, episodes(LADDER, 4)))
    endgame = powerseek.make_world("endgame")
    met = episodes(endgame, 4, success=[1, 1, 1, 0])
    assert values(context(endgame, met))["competence"] == 0.75


@pytest.mark.parametrize("share", [0, 1])
def test_shares_of_nothing_and_of_all_keep_an_open_end(share):
    row = rows(context(LADDER, episodes(LADDER, 50, success=share)))["success"]
    assert row.value == share
    assert (row.low, row.high)[share] == share
    assert 0.05 < row.high - row.low < 0.1


def test_length_and_return_are_plain_means():
    rewards = np.zeros((4, 4))
    rewards[:, 0], rewards[2, 3] = [1, 2, 3, 4], -2
    met = episodes(LADDER, 4, lengths=[1, 2, 3, 4], rewards=rewards)
    found = rows(context(LADDER, met))
    assert found["length"].value == 2.5
    assert found["return"].value == 2.0
    assert (found["length"].unit, found["return"].unit) == ("steps", "reward")
    for name in ("length", "return"):
        assert found[name].low < found[name].value < found[name].high
        assert found[name].n == 4
