"""Constraints as specs: their names, what they are told apart by, and what is refused."""

import numpy as np
import pytest

import powerseek
from powerseek.envs.rewards.spec import (
    Restraint,
    make_reward,
    place_of,
    price_of,
    reads_acquired,
    reward_chain,
    reward_name,
    reward_permits,
    reward_windows,
    unwrapped,
    with_price,
    without_price,
)
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput

WORLD = powerseek.make_world("commons")


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({"aup": 0.1, "of": "terminal"}, "terminal aup 0.1"),
        ({"aup": 0.1, "placebo": True, "of": "terminal"}, "terminal aup 0.1 placebo"),
        ({"aup": 1, "of": {"every": 8}, "gamma": 0.9}, "every 8 aup 1 gamma 0.9"),
        ({"aup": 0.1, "auxiliary": "goals", "of": "dense"}, "dense aup 0.1 goals"),
        ({"penalty": 0.1, "horizon": 8, "of": "terminal"}, "terminal penalty 0.1 within 8"),
        (
            {"penalty": 0.1, "horizon": "cap", "placebo": True, "of": "terminal"},
            "terminal penalty 0.1 within cap placebo",
        ),
        ({"aup": 0, "placebo": True, "of": "terminal"}, "terminal aup 0"),
        (
            {"aup": 0.1, "of": {"priced": 0.02, "of": {"coverage": 1}}},
            "coverage 1 price 0.02 aup 0.1",
        ),
    ],
    ids=str,
)
def test_names(spec, name):
    assert reward_name(spec) == name
    assert make_reward(spec, max_steps=16)


def test_the_place_is_that_of_the_other_reward_and_how_it_is_constrained():
    spec = {"penalty": 0.1, "horizon": 8, "placebo": True, "of": {"coverage": 1, "aim": "progress"}}
    place = place_of(spec)
    assert place == place_of(spec["of"])._replace(
        restraint=Restraint("penalty within 8", 0.1, True)
    )
    assert place.words == "progress, penalty 0.1 within 8 placebo"
    assert place_of({"aup": 0, "of": "terminal"}) == place_of("terminal")
    assert place_of({"aup": 0.1, "of": "shaped"}) is None


def test_what_looks_at_a_reward_sees_through_its_constraint():
    priced = {"priced": 0.02, "of": {"every": 4}, "unfelt": True}
    spec = {"aup": 0.1, "of": priced}
    assert reward_chain(spec) == (spec, priced, {"every": 4})
    assert unwrapped(spec) == {"every": 4}
    assert reward_windows([spec, "dense"], 16) == (4,)
    assert reads_acquired([spec])
    assert not reads_acquired([{"aup": 0.1, "of": "terminal"}])
    assert price_of(spec) == 0.02
    assert reward_permits(spec, "unfelt")
    assert not reward_permits(spec, "paid_to_fail")
    assert with_price(spec, 0.05) == {"aup": 0.1, "of": priced | {"priced": 0.05}}
    assert without_price(spec) == {"aup": 0.1, "of": {"every": 4}}
    task = Task(WORLD, spec)
    assert task.windows == (4,)
    assert task.acquired_so_far
    assert task.reward_function.memory_size == 1
    assert task.reward_function.reads_acquired


def test_an_overseer_judges_for_both():
    class Judge:
        def __init__(self, paid, of=None):
            self.paid, self.of = paid, of

        def judge(self, records, actions, clock):
            return 0.0 * clock + self.paid

    arm = make_reward({"aup": 0.5, "of": {"coverage": 1}}, max_steps=4, overseer=Judge(2, Judge(7)))
    assert arm.judge(None, None, np.zeros(3)).tolist() == [6.0] * 3
    assert arm.with_overseer(None).of.overseer is None


@pytest.mark.parametrize(
    ("spec", "field", "told"),
    [
        ({"aup": -0.1, "of": "terminal"}, "aup", "a number >= 0"),
        ({"aup": "much", "of": "terminal"}, "aup", "Write {aup: 0.1, of: terminal}"),
        ({"aup": True, "of": "terminal"}, "aup", "a number >= 0"),
        ({"aup": float("inf"), "of": "terminal"}, "aup", "a number >= 0"),
        ("aup", "aup", "a number >= 0"),
        ({"aup": 0.1}, "aup.of", "Write {aup: 0.1, of: terminal}"),
        ({"penalty": 0.1, "horizon": 8}, "penalty.of", "Write {penalty"),
        ({"penalty": 0.1, "of": "terminal"}, "penalty.horizon", "1 to the cap (16 steps)"),
        ({"penalty": 0.1, "horizon": 0, "of": "dense"}, "penalty.horizon", "(16 steps)"),
        ({"penalty": 0.1, "horizon": 17, "of": "dense"}, "penalty.horizon", "(16 steps)"),
        ({"penalty": 0.1, "horizon": 2.5, "of": "dense"}, "penalty.horizon", "horizon: 8"),
        ({"aup": 0.1, "gamma": 1, "of": "terminal"}, "aup.gamma", "below 1"),
        ({"aup": 0.1, "auxiliary": "wealth", "of": "dense"}, "aup.auxiliary", "holdings"),
        ({"aup": 0.1, "placebo": 1, "of": "dense"}, "aup.placebo", "true or false"),
        ({"aup": 0.1, "of": {"aup": 0.1, "of": "dense"}}, "aup.of", "it has aup already"),
        (
            {"aup": 0.1, "of": {"priced": 0.1, "of": {"aup": 0, "of": "dense"}}},
            "aup.of",
            "it has aup already",
        ),
        (
            {"penalty": 0.1, "horizon": 2, "of": {"aup": 0.1, "of": "dense"}},
            "penalty.of",
            "it has aup already",
        ),
        (
            {"priced": 0.1, "of": {"aup": 0.1, "of": "dense"}},
            "priced.of",
            "a constraint goes around a price",
        ),
        ({"aup": 0.1, "horizon": 4, "of": "dense"}, "aup option", "of, placebo"),
    ],
    ids=str,
)
def test_what_is_refused_is_named_with_what_to_write(spec, field, told):
    with pytest.raises(InvalidInput) as caught:
        make_reward(spec, max_steps=16)
    assert caught.value.field == field
    assert told in str(caught.value)


def test_a_penalty_needs_an_end_and_aup_does_not():
    endless = {"max_steps": 16, "gamma": 0.9, "time_limit": "bootstrap"}
    with pytest.raises(InvalidInput, match=r"time_limit.*'penalty'"):
        make_reward({"penalty": 0.1, "horizon": 4, "of": "dense"}, **endless)
    assert make_reward({"aup": 0.1, "of": "dense"}, **endless).gamma == 0.996
    with pytest.raises(InvalidInput, match="'coverage'"):
        make_reward({"aup": 0.1, "of": {"coverage": 1}}, **endless)


def test_without_an_overseer_nobody_knows_the_penalty():
    arm = make_reward({"aup": 0.1, "of": "dense"}, max_steps=4)
    with pytest.raises(InvalidInput, match="with_overseer"):
        arm.judge(None, None, np.zeros(1))
