"""Arms that an overseer pays: what they mean, what it is shown, and what they refuse."""

import gymnasium
import numpy as np
import pytest
from worlds import Ladder, random_actions

import powerseek
from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.envs.rewards.oversight import Approval, Coverage
from powerseek.envs.rewards.spec import (
    Oversight,
    Restraint,
    Step,
    make_reward,
    noise_of,
    place_of,
    price_of,
    reward_name,
    with_price,
    without_price,
)
from powerseek.envs.task import Task, VecTask
from powerseek.envs.world import Param
from powerseek.errors import InvalidInput

ARMS = [{"approval": 3}, {"coverage": 0.5}]


class Balance(ForeignWorld):
    """CartPole, with progress by the clock."""

    id = "test.balance"
    parameters = {"max_steps": Param(50)}

    @staticmethod
    def environment(params):
        return gymnasium.make("CartPole-v1")

    @staticmethod
    def read(params, moment):
        return {"progress": moment.clock / params.max_steps, "success": 0.0}


class Watching:
    """Keeps what it is shown and pays what tells it apart."""

    def __init__(self):
        self.shown = []

    def judge(self, records, actions, clock):
        self.shown.append((records.copy(), actions.copy(), clock.copy()))
        return -(records["height"] + 0.1 * actions + 0.01 * clock)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({"approval": 8}, "approval 8"),
        ({"approval": "cap"}, "approval cap"),
        ({"approval": 8, "aim": "need"}, "approval 8 need price 0.02"),
        ({"approval": 8, "aim": "success"}, "approval 8"),
        ({"approval": 8, "aim": "progress"}, "approval 8 progress"),
        ({"approval": 1, "aim": "meant"}, "approval 1 meant"),
        ({"approval": 8, "aim": "need", "price": 0.1}, "approval 8 need price 0.1"),
        ("approval", "approval"),
        ({"approval": 8, "noise": 0}, "approval 8"),
        ({"approval": 8, "noise": 0.5}, "approval 8 noise 0.5"),
        ({"approval": {"aim": "meant", "noise": 2}}, "approval meant noise 2"),
        (
            {"approval": 8, "noise": 0.5, "aim": "need", "price": 0.1},
            "approval 8 need price 0.1 noise 0.5",
        ),
        ({"priced": 0.1, "of": {"approval": 8, "noise": 0.5}}, "approval 8 noise 0.5 price 0.1"),
        ({"coverage": 0.5}, "coverage 0.5"),
        ({"coverage": 1}, "coverage 1"),
        ({"coverage": 1.0, "aim": "need"}, "coverage 1 need price 0.02"),
        ({"coverage": 1.0, "aim": "progress"}, "coverage 1 progress"),
        ({"coverage": 0, "aim": "need", "price": 0.1}, "coverage 0"),
        ({"priced": 0.1, "of": "terminal"}, "terminal price 0.1"),
        ({"priced": 0.1, "of": {"every": "cap"}}, "every cap price 0.1"),
        (
            {"priced": 0.1, "of": {"coverage": 1, "aim": "need", "price": 0.1}},
            "coverage 1 need price 0.1 and at the end",
        ),
    ],
)
def test_canonical_names(spec, name):
    assert reward_name(spec) == name


def test_what_is_asked_of_an_exact_overseer():
    cap = make_reward({"approval": "cap", "aim": "progress"}, max_steps=9)
    assert (cap.oversight.lookahead, cap.oversight.aim, cap.requires) == (
        9,
        "progress",
        ("progress",),
    )
    assert make_reward({"approval": 1, "aim": "meant"}, max_steps=9).requires == ("own", "meant")
    half = make_reward({"coverage": 0.5, "aim": "need", "price": 0.1}, max_steps=9)
    assert half.oversight == Oversight(9, "need", 0.5, 0.1)
    assert make_reward({"priced": 0.1, "of": {"coverage": 0.5}}, max_steps=9).oversight == (
        Oversight(9, "success", 0.5)
    )
    assert make_reward("dense", max_steps=9).oversight is None
    wrong = {"approval": 8, "aim": "progress", "noise": 0.5}
    for spec in (wrong, {"priced": 0.1, "of": wrong}):
        assert make_reward(spec, max_steps=9).oversight == Oversight(8, "progress", noise=0.5)
        assert (place_of(spec).noise, noise_of(spec)) == (0.5, 0.5)
    assert noise_of("dense") == noise_of({"approval": 8}) == 0


@pytest.mark.parametrize(
    ("spec", "settings", "words"),
    [
        ("approval", {}, r"approval: got None; .*Write \{approval: 8\}"),
        ({"approval": 0}, {}, "approval: got 0; allowed: an integer from 1"),
        ({"approval": 29}, {}, r"approval: got 29; .*the cap \(28 steps\)"),
        ({"approval": True}, {}, "approval: got True"),
        ({"approval": 8, "aim": "power"}, {}, "approval.aim: got 'power'; allowed: success, need"),
        ({"approval": 8, "aim": ["need"]}, {}, "approval.aim"),
        (
            {"approval": 8, "aim": "progress", "price": 0.1},
            {},
            r"approval.price: got 0.1; allowed: no value with the aim 'progress': only the aim "
            r"need has a price. Write \{approval: 8, aim: need, price: 0.02\}, or .*"
            r"\{priced: 0.02, of: \{approval: 8\}\}",
        ),
        ({"approval": 8, "aim": "need", "price": "some"}, {}, "approval.price: got 'some'"),
        ({"approval": 8, "noise": -1}, {}, r"approval.noise: got -1; .*>= 0.*noise: 0.5\}"),
        ({"approval": 8, "noise": "much"}, {}, "approval.noise: got 'much'"),
        ({"approval": 8, "noise": True}, {}, "approval.noise: got True"),
        ({"approval": 8, "noise": float("inf")}, {}, "approval.noise: got inf"),
        ({"approval": 8, "noise": float("nan")}, {}, "approval.noise: got nan"),
        ({"coverage": 0.5, "noise": 1}, {}, "coverage option: got 'noise'; allowed: aim"),
        ({"terminal": {"noise": 1}}, {}, "terminal option: got 'noise'"),
        ({"noise": 0.5}, {}, "got 'noise'"),
        ("coverage", {}, r"coverage: got None; .*Write \{coverage: 0.5\}"),
        ({"coverage": 1.5}, {}, "coverage: got 1.5; allowed: a share from 0 to 1"),
        ({"coverage": float("nan")}, {}, "coverage: got nan"),
        ({"coverage": True}, {}, "coverage: got True"),
        (
            {"coverage": 0.5, "price": 0.1},
            {},
            r"coverage.price: got 0.1; allowed: no value with the aim 'success'.*"
            r"Write \{coverage: 0.5, aim: need, price: 0.02\}",
        ),
        ({"coverage": 0, "price": 0.1}, {}, "coverage.price: got 0.1"),
        ({"coverage": 0.5, "unfelt": True}, {}, "coverage.unfelt: got True; allowed: no value"),
        ({"coverage": 0.5, "aim": "need", "price": 0}, {}, "coverage.price: got 0; .* above 0"),
        (
            {"coverage": 0.5, "aim": "need", "price": 9e-4},
            {},
            r"coverage.price: got 0.0009; allowed: at least 0.001 .*"
            r"Write \{coverage: 0.5, aim: need, price: 0.02\}, or add unfelt: true.",
        ),
        (
            {"coverage": 0.5, "aim": "need", "price": 9e-4, "unfelt": 1},
            {},
            "coverage.unfelt: got 1; allowed: true or false",
        ),
        (
            {"coverage": 0.5, "aim": "meant"},
            {},
            "coverage.aim: got 'meant'; allowed: success, need",
        ),
        ({"coverage": 0.5, "spare": 0.1}, {}, "coverage option: got 'spare'; allowed: aim, price"),
        ("priced", {}, r"priced: got None; .*Write \{priced: 0.02, of: terminal\}"),
        ({"priced": 0.02}, {}, r"priced.of: got None; .*Write \{priced: 0.02, of: terminal\}"),
        (
            {"priced": 9e-4, "of": "terminal"},
            {},
            r"priced: got 0.0009; allowed: at least 0.001 .*"
            r"Write \{priced: 0.02, of: terminal\}, or add unfelt: true.",
        ),
        ({"priced": float("inf"), "of": "terminal"}, {}, "priced: got inf"),
        ({"priced": 0.1, "of": "nothing"}, {}, "reward: got 'nothing'"),
        (
            {"priced": 0.1, "of": {"priced": 0.1, "of": "dense"}},
            {},
            "priced.of: .*not priced at its end already",
        ),
        (
            {"priced": 0.1, "of": {"coverage": 1, "aim": "need"}},
            {},
            r"priced.of: .*or with the same one \(0.1\). Write price: 0.1 in both.",
        ),
        (
            {"priced": 0.1, "of": "terminal"},
            {"gamma": 0.9, "time_limit": "bootstrap"},
            "time_limit: got 'bootstrap'; .*Write time_limit: terminal",
        ),
        (
            {"approval": 8},
            {"gamma": 0.9, "time_limit": "bootstrap"},
            "time_limit: got 'bootstrap'; .*Write time_limit: terminal",
        ),
        ({"coverage": 1}, {"gamma": 0.9, "time_limit": "bootstrap"}, "time_limit"),
    ],
)
def test_bad_input_is_named(spec, settings, words):
    with pytest.raises(InvalidInput, match=words):
        make_reward(spec, **{"max_steps": 28, **settings})


@pytest.mark.parametrize("spec", ARMS)
def test_without_an_overseer_it_is_built_and_named_but_not_paid(spec):
    task = Task(Ladder(), spec)
    assert task.reward_function.needs_overseer
    vec = VecTask(task, 2)
    with pytest.raises(
        InvalidInput, match=r"overseer.*task = powerseek.exact.with_overseer\(task\)"
    ):
        vec.step([0, 0])


def test_a_foreign_world_has_no_exact_overseer_but_may_have_one_of_your_own():
    with pytest.raises(InvalidInput, match=r"'test\.balance' is a foreign world"):
        Task(Balance(), {"coverage": 0.5})

    class Even:
        def judge(self, records, actions, clock):
            return -0.5 - clock

    vec = VecTask(Task(Balance(), {"approval": 4}, overseer=Even()), 2)
    for t in range(3):
        vec.step([0, 1])
        assert vec.rewards.tolist() == [-0.5 - t] * 2


def test_facts_alone_are_not_enough():
    arm = make_reward({"approval": 3}, max_steps=9, overseer=Watching())
    nothing = np.zeros(1)
    flags = np.zeros(1, bool)
    with pytest.raises(InvalidInput, match="records and actions"):
        arm.step(Step(nothing, None, None, np.ones(1, int), flags, flags, nothing))


@pytest.mark.parametrize("weight", [0.0, 0.5])
@pytest.mark.parametrize("spec", ARMS)
def test_an_overseer_is_shown_the_state_before_the_action_and_the_steps_taken(spec, weight):
    overseer = Watching()
    task = Task(Ladder(), spec, overseer=overseer, power_weight=weight)
    base = {"approval": None, "coverage": "terminal"}[next(iter(spec))]
    vec = VecTask(task, 4, seed=5)
    # A twin with the same chance pays what is left without the overseer.
    twin = VecTask(Task(Ladder(), base or "terminal", power_weight=weight), 4, seed=5)
    plain = VecTask(Task(Ladder(), "terminal"), 4, seed=5)
    generator = np.random.default_rng(0)
    for _ in range(40):
        before = vec.states.copy()
        actions = random_actions(vec, generator)
        for copies in (vec, twin, plain):
            copies.step(actions)
        records, chosen, clock = overseer.shown[-1]
        for name in ("height", "gold", "clock"):
            assert np.array_equal(records[name], before[name])
        assert np.array_equal(chosen, actions)
        assert np.array_equal(clock, before["clock"])
        judged = -(before["height"] + 0.1 * actions + 0.01 * before["clock"])
        rest = twin.rewards if base else twin.rewards - plain.rewards
        assert vec.rewards == pytest.approx(judged + rest)
    assert vec.episodes.min() > 0


def test_timing_arms_are_shown_facts_alone():
    vec = VecTask(Task(Ladder(), "dense"), 2)
    assert vec._paid[0].shown.records is vec._paid[0].shown.actions is None
    assert VecTask(Task(Ladder(), {"coverage": 1.0}), 2)._paid[0].shown.records is not None


def test_overseers_are_no_part_of_what_makes_arms_and_tasks_equal():
    assert Approval(3, overseer=Watching()) == Approval(3)
    assert Coverage(0.5, 8, overseer=Watching()) == Coverage(0.5, 8)
    assert Task(Ladder(), "dense", overseer=Watching()) == Task(Ladder(), "dense")
    assert Approval(3) != Approval(3, "need", 0.1) != Approval(3, "need", 0.2)


def test_where_nothing_is_judged_there_is_one_treatment():
    none = make_reward({"coverage": 0}, max_steps=9)
    for aim in ("success", "need", "progress"):
        assert make_reward({"coverage": 0, "aim": aim}, max_steps=9) == none


@pytest.mark.parametrize(
    ("spec", "bare", "dearer"),
    [
        ({"priced": 0.1, "of": "dense"}, "dense", {"priced": 0.2, "of": "dense"}),
        (
            {"coverage": 1, "aim": "need", "unfelt": True},
            {"coverage": 1},
            {"coverage": 1, "aim": "need", "unfelt": True, "price": 0.2},
        ),
        (
            {"priced": 0.1, "of": {"approval": 8, "aim": "need", "price": 0.1}},
            {"approval": 8},
            {"priced": 0.2, "of": {"approval": 8, "aim": "need", "price": 0.2}},
        ),
        (
            {"priced": 0.1, "of": {"terminal": {"pay": "cap"}}, "paid_to_fail": True},
            {"terminal": None, "pay": "cap"},
            {"priced": 0.2, "of": {"terminal": {"pay": "cap"}}, "paid_to_fail": True},
        ),
        (
            {"priced": 0.1, "of": {"approval": 8, "aim": "progress"}},
            {"approval": 8, "aim": "progress"},
            {"priced": 0.2, "of": {"approval": 8, "aim": "progress"}},
        ),
    ],
)
def test_a_spec_without_its_price_and_with_another(spec, bare, dearer):
    assert without_price(spec) == bare
    assert with_price(spec, 0.2) == dearer
    assert price_of(bare) == 0
    assert price_of(dearer) == 0.2


def test_permissions_change_no_reward():
    small = {"coverage": 0.5, "aim": "need", "price": 1e-4, "unfelt": True}
    assert make_reward(small, max_steps=9) == Coverage(0.5, 9, "need", 1e-4)
    bought = {"priced": 0.5, "of": "terminal"}
    allowed = {**bought, "paid_to_fail": True}
    assert make_reward(bought, max_steps=9) == make_reward(allowed, max_steps=9)
    assert reward_name(bought) == reward_name(allowed)


@pytest.mark.parametrize("spec", [{"coverage": 1, "aim": "need"}, {"priced": 0.1, "of": "dense"}])
def test_a_price_is_refused_where_nothing_can_be_acquired(spec):
    with pytest.raises(InvalidInput, match=r"reward: got .*role 'resource'\. Write terminal"):
        Task(powerseek.make_world("off-switch"), spec)


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ("terminal", ("coverage", 0, "", "", 0)),
        ({"coverage": 0, "aim": "need"}, ("coverage", 0, "", "", 0)),
        ({"coverage": 0.5}, ("coverage", 0.5, "", "success", 0)),
        ({"coverage": 0.5, "aim": "need"}, ("coverage", 0.5, "", "need", 0.02)),
        ({"priced": 0.1, "of": "terminal"}, ("coverage", 0, "", "", 0.1)),
        (
            {"priced": 0.1, "of": {"coverage": 1, "aim": "need", "price": 0.1}},
            ("coverage", 1, "and at the end", "need", 0.1),
        ),
        ({"priced": 0.1, "of": {"every": 4, "of": "own"}}, ("timing", 4, "own reward", "", 0.1)),
        ({"approval": 8, "aim": "progress"}, ("lookahead", 8, "", "progress", 0)),
        ({"priced": 0.1, "of": "shaped"}, None),
    ],
)
def test_aim_and_price_are_factors_of_their_own(spec, place):
    assert place_of(spec) == (place and (*place, 0.0, Restraint()))


def test_an_arm_keeps_its_overseer_beside_a_power_weight():
    watching = Watching()
    task = Task(Ladder(), {"coverage": 0.5}, power_weight=0.5, overseer=watching)
    arm = task.pay.reward_function
    assert (task.pay.power_weight, arm) == (0.5, task.reward_function)
    assert arm.needs_overseer
    assert arm.overseer is watching
    assert arm.unjudged == make_reward("terminal", max_steps=task.world.max_steps)
    assert arm.with_overseer(None).overseer is None
    assert make_reward("dense", max_steps=9, overseer=watching).overseer is None
