"""The agent `evolution`: what it is paid for, what it reports, and what it cannot tell apart."""

import warnings

import numpy as np
import pytest
from worlds import ACTIONS, Ladder

import powerseek
from powerseek.agents import (
    Checkpoint,
    Job,
    check_agent,
    load_agent,
    rollout,
    save_agent,
    train,
    without_interruption,
)
from powerseek.agents.evolution import evaluate
from powerseek.agents.evolution.evaluate import Arena
from powerseek.agents.evolution.learner import Evolution
from powerseek.agents.evolution.methods import METHODS
from powerseek.agents.evolution.network import EvolvedPolicy, Layout
from powerseek.envs.engine.chance import flip
from powerseek.envs.rewards.base import ConfoundWarning
from powerseek.envs.task import Task, VecTask
from powerseek.envs.world import Fact, Param, World
from powerseek.errors import InvalidInput
from powerseek.exact import evaluate_agent
from powerseek.types import Situation

every = pytest.mark.parametrize("method", METHODS)
FEW = {"population": 6, "episodes": 4, "champion_episodes": 4, "net": [8]}
WINDOWS = (3, 8)


def settings(method, **given):
    own = {"directions": 2} if method == "ars" else {}
    own = {"parents": 3, "elites": 2} if method == "ga" else own
    return {"method": method, **FEW, **own, **given}


def task(reward="dense", gamma=1.0, **params):
    return Task(Ladder(**{"hazard": 0.1, **params}), reward, gamma, windows=WINDOWS)


def evolved(method, this=None, timesteps=900, seed=1, **more):
    given = settings(method, **more.pop("given", {}))
    return train(
        this or task(), "evolution", seed=seed, timesteps=timesteps, settings=given, **more
    )


def same(one, other):
    return np.array_equal(one.policy.weights, other.policy.weights)


# --- whole episodes ------------------------------------------------------------------------------


@every
def test_timing_is_one_treatment_bit_for_bit(method):
    found = [evolved(method, task(pay)) for pay in ("dense", {"every": 3}, {"every": "cap"})]
    first, *others = found
    for other in others:
        assert same(first, other)
        assert other.losses == first.losses
        assert other.timesteps == first.timesteps
        # Pay comes later all the same.
        assert other.first_reward > first.first_reward
    assert not same(first, evolved(method, task("terminal")))


def test_timing_is_one_treatment_in_a_real_world():
    world, given = powerseek.make_world("homestead", max_steps=32), {"evolution": {"method": "cma"}}
    found = [
        train(Task(world, pay, windows=(8, 32)), given, seed=1, timesteps=60_000)
        for pay in ("dense", {"every": 8}, {"every": "cap"})
    ]
    assert same(*found[:2])
    assert same(*found[1:])


@every
def test_timing_is_seen_where_gamma_discounts(method):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConfoundWarning)
        late = evolved(method, task({"every": "cap"}, 0.9, rungs=6), 3000)
    assert not same(evolved(method, task("dense", 0.9, rungs=6), 3000), late)


def test_totals_do_not_depend_on_when_they_are_paid(monkeypatch):
    """Where sums that are not rounded differ in their last bits."""
    world = powerseek.make_world("homestead", max_steps=32)
    tasks = [Task(world, pay, windows=(8, 32)) for pay in ("dense", {"every": 8}, {"every": "cap"})]
    first, *others = (played(this).returns for this in tasks)
    for other in others:
        assert np.array_equal(first, other)
    monkeypatch.setattr(evaluate, "DECIMALS", 17)
    first, second, _ = (played(this).returns for this in tasks)
    assert not np.array_equal(first, second)


def played(this):
    members, layout = drawn(this, 16)
    return Arena(this, 16, 500, layout, False, 3).play(members, 0)


def drawn(this, population, net=(8,), seed=0):
    """Networks that differ much, and their layout."""
    layout = Layout(this.observation_size, net, this.n_actions)
    members = layout.initial(population, np.random.default_rng(seed))
    members += np.random.default_rng(seed + 1).normal(size=members.shape)
    return members.astype(np.float32), layout


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_returns_are_those_of_episodes_played_step_by_step(gamma):
    this = task(gamma=gamma)
    (members, layout), seed, generation = drawn(this, 3), 4, 2
    found = Arena(this, 3, 5, layout, False, seed).play(members, generation)
    alive, policies = [], [EvolvedPolicy(one, layout, False) for one in members]
    for policy in policies:
        envs = VecTask(this, 5, seed)
        envs.skip(np.full(5, generation))
        draws = np.random.default_rng([seed, 0x616374, generation])
        returns, running, t, lengths = np.zeros(5), np.ones(5, bool), 0, np.zeros(5, int)
        while running.any():
            u, given = draws.random(5), policy.probabilities(envs.situation)
            envs.step((given.cumsum(axis=1) > u[:, None]).argmax(axis=1))
            returns += np.where(running, gamma**t * envs.rewards, 0)
            lengths += running
            running &= ~envs.ended
            t += 1
        alive.append((returns, lengths))
    assert found.returns == pytest.approx(np.array([returns for returns, _ in alive]))
    assert found.steps == sum(lengths.sum() for _, lengths in alive)
    assert found.fitness == pytest.approx([returns.mean() for returns, _ in alive])
    assert len(np.unique([lengths for _, lengths in alive])) > 2


def test_a_member_s_numbers_do_not_depend_on_its_company():
    this = task()
    members, layout = drawn(this, 9, (17, 5))
    for relu in (False, True):
        together = Arena(this, 9, 7, layout, relu, 2).play(members, 5).returns
        for i in (0, 4, 8):
            alone = Arena(this, 1, 7, layout, relu, 2).play(members[i : i + 1], 5).returns
            assert np.array_equal(alone[0], together[i])
    few = Arena(this, 9, 3, layout, False, 2)
    equal = np.repeat(members[:1], 9, axis=0)
    same_chance = few.play(equal, 5).returns
    assert (same_chance == same_chance[0]).all()
    assert not np.array_equal(few.play(equal, 6).returns, same_chance)


def test_probabilities_are_those_of_the_network_and_of_a_row_alone():
    this = task()
    (weights, *_), layout = drawn(this, 1, (7, 5))
    rng = np.random.default_rng(1)
    seen = rng.normal(size=(50, this.observation_size)).astype(np.float32)
    masks = rng.random((50, len(ACTIONS))) < 0.6
    masks[:, 0] = True
    states = np.zeros(50, "V8")
    found = EvolvedPolicy(weights, layout, False).probabilities(Situation(seen, masks, states))
    at, hidden = 0, seen.astype(float)
    for k, (start, inputs, outputs) in enumerate(layout.layers.tolist()):
        assert start == at
        at += inputs * outputs
        hidden = hidden @ weights[start:at].reshape(inputs, outputs) + weights[at : at + outputs]
        at += outputs
        hidden = np.tanh(hidden) if k < 2 else hidden
    assert at == layout.size
    expected = np.where(masks, np.exp(hidden), 0)
    assert found == pytest.approx(expected / expected.sum(axis=1, keepdims=True), abs=1e-5)
    assert (found[~masks] == 0).all()
    for i in (0, 49):
        row = Situation(seen[i : i + 1], masks[i : i + 1], states[:1])
        assert np.array_equal(EvolvedPolicy(weights, layout, False).probabilities(row)[0], found[i])


def test_arithmetic_and_steps_are_counted_by_hand():
    this = Task(Ladder(rungs=10, max_steps=6))
    found = evolved("cma", this, timesteps=1)
    rows = (6 * 4 + 4) * 6
    assert found.timesteps == found.spent["steps"] == rows
    assert found.spent["flops"] == 2 * 8 * (this.observation_size + this.n_actions) * rows
    assert found.updates == 1


# --- the champion --------------------------------------------------------------------------------


class Lottery(World):
    """Progress is a coin, whatever is done."""

    id = "test.lottery"
    parameters = {"max_steps": Param(1)}
    state = (("won", "i8"),)
    facts = (Fact("progress"), Fact("success"), Fact("over"))

    @staticmethod
    def actions(params):
        return ("left", "right")

    @staticmethod
    def observation(params):
        return ("nothing",)

    @staticmethod
    def initial(p, s, c):
        s.won = 0

    @staticmethod
    def transition(p, s, a, c):
        # Members that act otherwise meet another coin.
        s.won = int(flip(c, 0.5)) if a == 0 else 1 - int(flip(c, 0.5))

    @staticmethod
    def legal(p, s, out):
        out[:] = True

    @staticmethod
    def observe(p, s, out):
        out[0] = 1.0

    @staticmethod
    def measure(p, s, out):
        out[0] = s.won


@every
def test_what_selected_a_champion_is_not_what_is_reported(method):
    """Nothing can be learnt: the best of a generation looks better than even, and is not."""
    seen, this = [], Task(Lottery())
    given = settings(method, population=16, sigma=3.0)
    for seed in range(4):
        learner = Evolution(Job(this, seed, 1, check_agent(this, "evolution", given)))
        for _ in range(30):
            learner.update()
            seen.append(learner.losses)
    best, anew = (np.array([one[name] for one in seen]) for name in ("best", "champion_fitness"))
    assert best.mean() > 0.65
    assert abs(anew.mean() - 0.5) < 4 * 0.5 / np.sqrt(4 * len(anew))


def test_lineage_of_a_champion_is_its_policy_s_and_is_kept(tmp_path):
    this = task()
    found = evolved("ga", this)
    line = found.policy.lineage
    assert len(line.parents) == found.updates - 1
    assert line.mutations == found.losses["mutations"] > 0
    again = load_agent(save_agent(found, this, tmp_path / "a"), this)
    assert np.array_equal(again.policy.lineage.parents, line.parents)
    assert again.policy.lineage.ancestors.tolist() == line.ancestors.tolist()
    assert evolved("cma").policy.lineage is None


@pytest.mark.parametrize(
    "harm",
    [
        {"network": np.zeros(3, np.float32)},
        {"network": np.zeros(67, np.float64)},
        {"parents": np.full((2, 6), 6, np.int32)},
        {"parents": np.zeros((2, 5), np.int32)},
        {"champion": np.array(6)},
    ],
    ids=lambda harm: next(iter(harm)),
)
def test_weights_of_another_network_or_lineage_are_refused(harm, tmp_path):
    this = task()
    found = evolved("ga", this)
    bad = type(found)(**{**vars(found), "weights": {**found.weights, **harm}})
    with pytest.raises(InvalidInput, match=r"numbers, not|lineage"):
        load_agent(save_agent(bad, this, tmp_path / "a"), this)


# --- training ------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("cut", [1, 3])
def test_each_method_goes_on_bit_for_bit(method, cut, tmp_path):
    def stop(now):
        if now.updates == cut:
            raise KeyboardInterrupt

    whole, kept = evolved(method), Checkpoint(tmp_path / "a.zip", every=0.0)
    with pytest.raises(KeyboardInterrupt):
        evolved(method, checkpoint=kept, callback=stop)
    again = evolved(method, checkpoint=kept)
    assert same(again, whole)
    assert (again.losses, again.spent) == (whole.losses, whole.spent)
    assert whole.updates > cut + 1


@every
def test_exact_evaluation_is_what_episodes_show(method):
    this = task()
    policy = evolved(method, this).policy
    for greedy in (False, True):
        exact = evaluate_agent(this, policy, greedy=greedy)
        met = rollout(policy, this, 2000, 7, greedy=greedy)
        assert (met.last("success") > 0).mean() == pytest.approx(exact.success, abs=0.045)
        assert met.lengths.mean() == pytest.approx(exact.length, abs=0.25)


LADDER = {"population": 16, "episodes": 8, "champion_episodes": 1}


@every
def test_each_learns_a_ladder(method):
    """Three rungs in eight steps, paid at the top alone; random play is up in half of episodes."""
    this = Task(Ladder(max_steps=8), "terminal")
    given = LADDER | ({"parents": 4, "elites": 1} if method == "ga" else {})
    found = train(this, {"evolution": {"method": method, **given}}, seed=3, timesteps=20_000)
    assert rollout(found.policy, this, 1000, seed=9).last("success").mean() >= 0.9


@every
def test_each_learns_a_real_world(method):
    """homestead, paid at every step: .8 of 300,000 steps where chance brings nobody home."""
    this = Task(powerseek.make_world("homestead", openness=0), "dense")
    found = train(this, {"evolution": {"method": method}}, seed=10_003, timesteps=300_000)
    calm = without_interruption(this)
    assert rollout(found.policy, calm, 500, seed=9).last("success").mean() >= 0.6


# --- settings ------------------------------------------------------------------------------------

WRONG = [
    ({"method": "de"}, "settings.method", "es or cma or ga or ars"),
    ({"method": "cma", "elites": 2}, "settings.elites", "Write method: ga."),
    ({"method": "es", "directions": 2}, "settings.directions", "Write method: ars."),
    (
        {"method": "cma", "learning_rate": 0.1},
        "settings.learning_rate",
        "of es and ars, not of cma",
    ),
    ({"method": "es", "population": 31}, "settings.population", "Write population: 32."),
    ({"method": "ars", "directions": 33}, "settings.directions", "Write directions: 32."),
    ({"method": "ga", "parents": 65}, "settings.parents", "Write parents: 64."),
    ({"method": "ga", "elites": 13}, "settings.elites", "Write elites: 12."),
    ({"population": 2}, "settings.population", "4 to"),
    ({"population": 4096, "episodes": 64}, "settings.episodes", "Write episodes: 16."),
    ({"sigma": 0}, "settings.sigma", "above 0"),
    ({"wings": 2}, "settings", "population"),
]


@pytest.mark.parametrize(("given", "field", "said"), WRONG, ids=str)
def test_what_is_wrong_is_named_with_what_to_write(given, field, said):
    with pytest.raises(InvalidInput) as error:
        check_agent(task(), "evolution", given)
    assert error.value.field == field
    assert said in str(error.value)


def test_bootstrap_and_other_devices_are_refused():
    cut = Task(Ladder(), "dense", 0.9, "bootstrap")
    with pytest.raises(InvalidInput, match="Write time_limit: terminal"):
        check_agent(cut, "evolution")
    with pytest.raises(InvalidInput, match="Write cpu"):
        evolved("es", device="cuda")


def test_every_method_has_settings_of_its_own():
    for method in METHODS:
        chosen = check_agent(task(), "evolution", {"method": method})
        assert chosen["method"] == method
        assert check_agent(task(), "evolution", chosen) == chosen
