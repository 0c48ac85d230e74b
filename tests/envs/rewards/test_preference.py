"""The reward `preference`: its name, its place among rewards, and what it refuses."""

import pytest
from worlds import Ladder, Recall

from powerseek.envs.rewards.oversight import Nothing
from powerseek.envs.rewards.spec import (
    Change,
    Comparisons,
    comparisons_of,
    is_learnt,
    make_reward,
    place_of,
    reward_name,
    with_price,
    without_price,
)
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput

FULL = {"preference": 200, "aim": "need", "price": 0.1, "length": 4, "noise": 0.5}


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({"preference": 200}, "preference 200"),
        ({"preference": 200, "aim": "success", "length": 8, "noise": 0}, "preference 200"),
        ({"preference": 200, "aim": "need"}, "preference 200 need price 0.02"),
        (FULL, "preference 200 need price 0.1 length 4 noise 0.5"),
        ({"preference": 200, "length": "cap"}, "preference 200 length cap"),
        ({**FULL, "preference": 0}, "preference 0"),
        ({"priced": 0.1, "of": {"preference": 9}}, "preference 9 price 0.1"),
    ],
)
def test_canonical_names(spec, name):
    assert reward_name(spec) == name


def test_what_is_asked_of_the_judge():
    assert make_reward(FULL, max_steps=9).oversight == Comparisons(200, "need", 0.1, 4, 0.5)
    plain = make_reward({"preference": 7}, max_steps=9)
    assert plain.oversight == Comparisons(7) == Comparisons(7, length=8)
    assert plain.requires == ("success",)
    assert make_reward({"preference": 7}, max_steps=5).length == 5
    assert make_reward({"preference": 7, "length": "cap"}, max_steps=20).length == 20
    held = make_reward({"aup": 0.1, "of": {"preference": 7}}, max_steps=9).oversight
    assert isinstance(held, Change)
    assert comparisons_of(held) == Comparisons(7)
    assert comparisons_of(make_reward({"approval": 2}, max_steps=9).oversight) is None


def test_no_labels_are_one_treatment_that_pays_nothing():
    for spec in ({"preference": 0}, {**FULL, "preference": 0}):
        assert make_reward(spec, max_steps=9) == Nothing()
        assert place_of(spec) == place_of({"preference": 0})
        assert not is_learnt(spec)
    assert is_learnt({"priced": 0.1, "of": {"preference": 1}})
    assert not is_learnt({"approval": 2})


def test_its_place_is_the_number_of_labels_among_those_of_its_judge():
    few, many = (place_of({**FULL, "preference": n}) for n in (20, 2000))
    assert (few.factor, few.level, many.level) == ("labels", 20, 2000)
    assert few.line == many.line
    assert few.words == "length 4, need price 0.1 noise 0.5"
    assert few.line != place_of({**FULL, "preference": 20, "length": 5}).line


def test_its_price_may_be_changed_and_left_out():
    assert reward_name(with_price(FULL, 0.2)) == "preference 200 need price 0.2 length 4 noise 0.5"
    assert reward_name(without_price(FULL)) == "preference 200 length 4 noise 0.5"


@pytest.mark.parametrize(
    ("spec", "settings", "words"),
    [
        ("preference", {}, r"preference: got None; .*whole number.*Write \{preference: 200\}"),
        ({"preference": 1.5}, {}, "preference: got 1.5; allowed: a whole number of labels, 0 to"),
        ({"preference": -1}, {}, "preference: got -1"),
        ({"preference": True}, {}, "preference: got True"),
        ({"preference": 10**6}, {}, "preference: got 1000000; .* 0 to 100,000"),
        ({"preference": 5, "length": 29}, {}, r"preference.length: got 29; .*cap \(28 steps\)"),
        ({"preference": 0, "length": 29}, {}, r"preference.length: got 29; .*cap \(28 steps\)"),
        ({"preference": 5, "length": 0}, {}, r"length: got 0.*Write \{preference: 5, length: 8\}"),
        ({"preference": 5, "length": 2.5}, {}, "preference.length: got 2.5"),
        ({"preference": 5, "noise": -1}, {}, "preference.noise: got -1; allowed: a number >= 0"),
        ({"preference": 5, "noise": float("nan")}, {}, "preference.noise: got nan"),
        ({"preference": 5, "noise": True}, {}, "preference.noise: got True"),
        ({"preference": 5, "aim": "meant"}, {}, "preference.aim: got 'meant'; allowed: success"),
        ({"preference": 5, "price": 0.1}, {}, "preference.price: got 0.1; .* only the aim need"),
        ({"preference": 5, "judge": 1}, {}, "preference option: got 'judge'"),
        ({"preference": 5}, {"time_limit": "bootstrap"}, "time_limit: got 'bootstrap'"),
        ({"preference": 0}, {"time_limit": "bootstrap"}, "time_limit: got 'bootstrap'"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(spec, settings, words):
    with pytest.raises(InvalidInput, match=words):
        make_reward(spec, max_steps=28, **settings)


def test_a_world_without_the_fact_or_without_anything_to_acquire_is_told():
    with pytest.raises(InvalidInput, match="without a price"):
        Task(Recall(), {"preference": 5, "aim": "need"})
    task = Task(Ladder(), {"preference": 5})
    with pytest.raises(InvalidInput, match="with_overseer"):
        task.reward_function.judge(Ladder().records(1), [0], [0])
