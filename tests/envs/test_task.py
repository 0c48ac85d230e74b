"""Tasks: what a learner sees and is paid, and that batch size and seeds change nothing."""

import numpy as np
import pytest
from known import known
from worlds import Ladder, Well, make, random_actions

import powerseek
from powerseek import registry
from powerseek.envs.rewards.spec import ConfoundWarning, RewardFunction
from powerseek.envs.task import Task, VecTask
from powerseek.envs.world import Fact, Param, World, columns
from powerseek.errors import InvalidInput, WorldError

WORLDS = ["ladder", *powerseek.list_worlds()]
ARMS = ["dense", {"every": 3}, {"every": "cap"}, {"thinned": 0.5}, "shaped", "terminal"]


class Wage(World):
    """One state; the world pays 1 a step and never ends; success comes and goes."""

    id = "test.wage"
    runs_on = True
    parameters = {"max_steps": Param(10)}
    state = (("unused", "i8"),)
    flows = (("paid", "f8"),)
    facts = (Fact("progress"), Fact("success"), Fact("over"), Fact("own", flow=True))

    @staticmethod
    def actions(params):
        return ("work",)

    @staticmethod
    def observation(params):
        return ("bias",)

    @staticmethod
    def initial(p, s, c):
        s.unused = 0

    @staticmethod
    def transition(p, s, a, c):
        s.paid = 1.0

    @staticmethod
    def legal(p, s, out):
        out[0] = True

    @staticmethod
    def observe(p, s, out):
        out[0] = 1.0

    @staticmethod
    def measure(p, s, out):
        out[F.success] = 1.0
        out[F.own] = s.paid

    @staticmethod
    def minimalist(p, s):
        return 0

    @staticmethod
    def hoarder(p, s):
        return 0


F = columns(*Wage.facts)


def play(task, n, steps, seed=0):
    """Copies of everything a learner sees over random steps, actions drawn copy by copy."""
    vec = VecTask(task, n, seed)
    streams = [np.random.default_rng(i) for i in range(n)]
    seen = []
    for _ in range(steps):
        draws = np.array([stream.random() for stream in streams])
        counts = np.cumsum(vec.masks, axis=1)
        vec.step((counts > (draws * counts[:, -1])[:, None]).argmax(axis=1))
        seen.append(
            {
                name: getattr(vec, name).copy()
                for name in (
                    "observations",
                    "final_observations",
                    "rewards",
                    "facts",
                    "fresh_facts",
                    "ended",
                    "terminated",
                    "truncated",
                )
            }
            | {"cut": vec.world.truncated.copy()}
        )
        seen[-1]["final_observations"][~vec.ended] = 0  # says nothing there
    return seen


def returns(seen, gamma=1.0):
    """Discounted return of every episode that ended, copy by copy, in order."""
    done = []
    for i in range(len(seen[0]["rewards"])):
        total, factor = 0.0, 1.0
        for step in seen:
            total += factor * step["rewards"][i]
            factor *= gamma
            if step["ended"][i]:
                done.append(total)
                total, factor = 0.0, 1.0
    return np.array(done)


@pytest.mark.parametrize(
    ("time_limit", "name"),
    [("bootstrap", "V_with_bootstrap"), ("terminal", "V_if_truncation_treated_as_terminal")],
)
def test_timelimit_known_values_learnt_from_what_the_learner_sees(time_limit, name):
    """Tabular TD over observations: Pardo et al. 2018; r = 1, gamma .99, T = 10."""
    case = known("timelimit_bootstrap")
    vec = VecTask(Task(Wage(), "own", 0.99, time_limit), 1)
    table = {}
    start = vec.observations.tobytes()
    for _ in range(4_000):
        now = vec.observations.tobytes()
        vec.step([0])
        seen = vec.final_observations if vec.ended[0] else vec.observations
        future = 0.0 if vec.terminated[0] else table.get(seen.tobytes(), 0.0)
        target = vec.rewards[0] + 0.99 * future
        table[now] = table.get(now, 0.0) + (target - table.get(now, 0.0))
    assert table[start] == pytest.approx(case.expected[name], abs=case.tolerance)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("arm", ARMS, ids=str)
def test_batch_size_changes_nothing(world, arm):
    task = Task(make(world), arm, windows=(2, 3))
    for big, small in zip(play(task, 5, 40), play(task, 2, 40), strict=True):
        for name in big:
            assert np.array_equal(big[name][:2], small[name]), name


@pytest.mark.parametrize("world", WORLDS)
def test_every_arm_of_a_study_sees_the_same_and_no_other_features(world):
    world = make(world)
    k = (2, 3, world.max_steps)
    runs = [play(Task(world, arm, windows=k), 3, 60) for arm in ARMS]
    for run in runs[1:]:
        for first, other in zip(runs[0], run, strict=True):
            assert np.array_equal(first["observations"], other["observations"])
            assert np.array_equal(first["ended"], other["ended"])
    task = Task(world, windows=k)
    assert task.observation_size == len(task.observation_names) == len(world.observation_names) + 4
    assert task.observation_names[-4:] == (
        "time_left",
        "progress_since_2",
        "progress_since_3",
        f"progress_since_{world.max_steps}",
    )


@pytest.mark.parametrize("world", WORLDS)
def test_returns_over_whole_episodes(world):
    """Conservation, in the simulator, over autoresets."""
    world = make(world)
    steps = 3 * world.max_steps + 5
    dense = returns(play(Task(world), 4, steps))
    assert len(dense)
    for arm in ({"every": 3}, {"every": "cap"}):
        assert returns(play(Task(world, arm), 4, steps)) == pytest.approx(dense, abs=1e-9)
    corrected = Task(world, {"every": 3, "corrected": True}, 0.9)
    discounted = returns(play(Task(world, "dense", 0.9), 4, steps), 0.9)
    assert returns(play(corrected, 4, steps), 0.9) == pytest.approx(discounted, abs=1e-9)
    terminal = returns(play(Task(world, "terminal", 0.9), 4, steps), 0.9)
    shaped = returns(play(Task(world, "shaped", 0.9), 4, steps), 0.9)
    starts = first_progress(world, 4, steps)
    assert shaped == pytest.approx(terminal - starts, abs=1e-9)


ACQUISITIVE = ["ladder", "homestead", "commons", "endgame"]


@pytest.mark.parametrize("of", ["terminal", {"every": 3}], ids=str)
@pytest.mark.parametrize("name", ACQUISITIVE)
def test_units_acquired_are_seen_under_every_arm_and_priced_at_the_end(name, of):
    world, n = make(name), 6
    priced = Task(world, {"priced": 0.1, "of": of}, windows=(2, 3))
    plain = Task(world, of, windows=(2, 3), acquired_so_far=True)
    together = VecTask([priced, plain], n, [4, 4])
    blind, generator = VecTask(Task(world, of, windows=(2, 3)), n, 4), np.random.default_rng(0)
    assert priced.observation_names == plain.observation_names
    assert priced.observation_names[-1] == "acquired_so_far"
    weights, so_far, most = world.weights("resource"), np.zeros(n), 0.0
    for _ in range(3 * world.max_steps):
        actions = random_actions(blind, generator)
        blind.step(actions)
        together.step(np.tile(actions, 2))
        so_far += blind.facts @ weights
        paid = blind.rewards - np.where(blind.ended, 0.1 * so_far, 0.0)
        assert together.rewards[:n] == pytest.approx(paid, abs=1e-12)
        assert np.array_equal(together.rewards[n:], blind.rewards)
        most = max(most, so_far.max())
        so_far[blind.ended] = 0
        for half in (slice(n), slice(n, None)):
            assert np.array_equal(together.observations[half, :-1], blind.observations)
            assert together.observations[half, -1] == pytest.approx(so_far, abs=1e-6)
        last = together.final_observations[:n][blind.ended]
        assert np.array_equal(last[:, :-1], blind.final_observations[blind.ended])
        assert not last[:, -1].any()
    assert most > 1
    assert blind.episodes.min() > 0
    while not together.observations[:, -1].any():
        together.step(random_actions(together, generator))
    together.skip(np.zeros(2 * n, np.int64))
    fresh = VecTask([priced, plain], n, [4, 4])
    actions = random_actions(fresh, generator)
    for vec in (together, fresh):
        assert not vec.observations[:, -1].any()
        vec.step(actions)
    assert np.array_equal(together.observations, fresh.observations)


def test_what_was_acquired_is_part_of_a_snapshot():
    task = Task(make("homestead"), "terminal", acquired_so_far=True)
    vec, other = VecTask(task, 4, 1), VecTask(task, 4, 2)
    generator = np.random.default_rng(0)
    while not vec.observations[:, -1].any():
        vec.step(random_actions(vec, generator))
    other.restore(vec.snapshot())
    vec.step(actions := random_actions(vec, generator))
    other.step(actions)
    assert np.array_equal(other.observations, vec.observations)


def first_progress(world, n, steps):
    """Progress at the start of every episode that ended, copy by copy."""
    column = world.columns("progress").start
    seen = play(Task(world), n, steps)
    now = VecTask(Task(world), n).fresh_facts[:, column].copy()
    found = [[] for _ in range(n)]
    for step in seen:
        for i in np.flatnonzero(step["ended"]):
            found[i].append(now[i])
            now[i] = step["fresh_facts"][i, column]
    return np.concatenate(found)


@pytest.mark.parametrize("world", WORLDS)
def test_features_are_time_left_and_progress_since_the_last_payment(world):
    world = make(world)
    column, cap = world.columns("progress").start, world.max_steps
    vec = VecTask(Task(world, windows=(3, cap)), 4, seed=7)
    generator = np.random.default_rng(0)
    clock = np.zeros(4, int)
    path = [[vec.fresh_facts[i, column]] for i in range(4)]
    for _ in range(2 * cap + 3):
        vec.step(random_actions(vec, generator))
        clock += 1
        for i in range(4):
            if vec.ended[i]:
                left = 1 - clock[i] / cap
                assert vec.final_observations[i, -3:] == pytest.approx([left, 0, 0], abs=1e-6)
                clock[i], path[i] = 0, []
            path[i].append(vec.fresh_facts[i, column])
            since = [path[i][-1] - path[i][clock[i] // k * k] for k in (3, cap)]
            expected = [1 - clock[i] / cap, *since]
            assert vec.observations[i, -3:] == pytest.approx(expected, abs=1e-6)
        assert np.array_equal(vec.states["clock"], clock)
        assert vec.observations.dtype == np.float32


def test_final_facts_pay_and_fresh_facts_start_the_next_episode():
    vec = VecTask(Task(Ladder(rungs=2, slip=0.0), "terminal"), 1)
    vec.step([0])
    assert (vec.rewards[0], vec.ended[0]) == (0, False)
    vec.step([0])
    assert (vec.rewards[0], vec.terminated[0], vec.truncated[0]) == (1, True, False)
    success = vec.task.world.columns("success").start
    assert (vec.facts[0, success], vec.fresh_facts[0, success]) == (1, 0)
    vec.step([0])
    vec.step([0])
    assert vec.rewards[0] == 1  # memory of the last episode's success is gone


@pytest.mark.parametrize(
    ("time_limit", "gamma", "terminated"), [("terminal", 1.0, True), ("bootstrap", 0.9, False)]
)
def test_time_limit_is_the_learner_s_view_and_the_truth_stays(time_limit, gamma, terminated):
    vec = VecTask(Task(Ladder(max_steps=2), "dense", gamma, time_limit), 2)
    for _ in range(2):
        vec.step([2, 2])  # wait
    assert vec.ended.all()
    assert vec.world.truncated.all()
    assert not vec.world.terminated.any()
    assert (vec.terminated == terminated).all()
    assert (vec.truncated == (not terminated)).all()
    assert vec.final_observations[0, -1] == (0.0 if terminated else 1.0)


def test_power_weight_pays_holdings_besides_the_arm():
    task = Task(Ladder(), "terminal", power_weight=0.5, holdings_scale=0.25)
    plain, powered = play(Task(Ladder(), "terminal"), 8, 50), play(task, 8, 50)
    column = task.world.columns("holdings").start
    held = VecTask(task, 8).fresh_facts[:, column].copy()
    for a, b in zip(plain, powered, strict=True):
        gain = b["facts"][:, column] - held
        assert b["rewards"] - a["rewards"] == pytest.approx(0.5 / 0.25 * gain)
        held = b["fresh_facts"][:, column]


def test_pay_at_the_cap_where_the_world_runs_on_after_success():
    seen = play(Task(Wage(), {"terminal": {"pay": "cap"}}), 1, 20)
    assert [step["rewards"][0] for step in seen] == ([0.0] * 9 + [1.0]) * 2
    first = play(Task(Wage(), "terminal"), 1, 20)
    assert [step["rewards"][0] for step in first] == ([1.0] + [0.0] * 9) * 2
    with pytest.raises(InvalidInput, match="runs on after success"):
        Task(Ladder(), {"terminal": {"pay": "cap"}})


def test_thinning_draws_are_fair_and_apart_from_the_world_s_chance():
    world = Ladder(rungs=10, slip=0.0, max_steps=10)
    seen = play(Task(world, {"thinned": 0.25}), 400, 60)
    plain = play(Task(world), 400, 60)
    earned = np.concatenate([step["rewards"] for step in plain])
    paid = np.concatenate([step["rewards"] for step in seen])
    gained = earned > 0.05
    share = (paid[gained] > 0).mean()
    assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / gained.sum())
    assert paid[(paid > 0) & gained] == pytest.approx(4 * earned[(paid > 0) & gained])
    assert not paid[~gained].any()
    again = play(Task(world, {"thinned": 0.25}), 400, 60, seed=1)
    assert not np.array_equal(paid, np.concatenate([step["rewards"] for step in again]))


def test_thinning_draws_are_independent_over_steps_episodes_and_copies():
    vec = VecTask(Task(Ladder(rungs=10, slip=0.0, max_steps=10), {"thinned": 0.5}), 400)
    paid = np.array([(vec.step(np.zeros(400)), vec.rewards > 0)[1] for _ in range(30)])
    between_steps = np.corrcoef(paid)[np.triu_indices(30, 1)]
    assert np.abs(between_steps).max() < 5 / np.sqrt(400)
    between_copies = np.corrcoef(paid.T)[np.triu_indices(400, 1)]
    assert np.mean(between_copies**2) == pytest.approx(1 / 29, rel=0.1)


def test_reset_repeats_and_skip_goes_on():
    vec = VecTask(Task(Ladder(), {"thinned": 0.5}), 3, seed=4)
    first = vec.observations.copy()
    rewards = [(vec.step([0, 0, 1]), vec.rewards.copy())[1] for _ in range(12)]
    vec.reset()
    assert np.array_equal(vec.observations, first)
    for kept in rewards:
        vec.step([0, 0, 1])
        assert np.array_equal(vec.rewards, kept)
    vec.skip(np.array([5, 5, 5]))
    assert vec.episodes.tolist() == [5, 5, 5]
    assert not vec.ended.any()


def test_situation_is_what_a_policy_acts_on():
    vec = VecTask(Task(Ladder(), {"every": 4}), 3)
    situation = vec.situation
    assert situation.observations.shape == (3, 4)
    assert situation.masks.shape == (3, 3)
    assert situation.states["clock"].tolist() == [0, 0, 0]
    assert [VecTask(Task(Well(who=who)), 1).situation.actor for who in range(2)] == [0, 1]


def test_a_task_sees_its_own_window_and_sorts_the_study_s():
    assert Task(Ladder(), {"every": "cap"}).windows == (8,)
    assert Task(Ladder(), {"every": 4}, windows=(8, 2, 4)).windows == (2, 4, 8)
    assert Task(Ladder()).windows == ()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"reward": "own"}, "reward: got 'own'.*'own', which world 'test.ladder' does not have"),
        ({"reward": {"every": 9}}, r"every: got 9; .*\(8 steps\)"),
        ({"windows": (0,)}, "every: got 0"),
        ({"gamma": 1.5}, "gamma: got 1.5"),
        ({"time_limit": "bootstrap"}, "time_limit: got 'bootstrap'"),
        ({"power_weight": -0.1}, "power_weight: got -0.1"),
    ],
)
def test_bad_input_is_named(settings, words):
    with pytest.raises(InvalidInput, match=words):
        Task(Ladder(), **settings)


def test_power_weight_needs_holdings():
    with pytest.raises(InvalidInput, match=r"power_weight: got 1; allowed: 0 in world"):
        Task(Wage(), power_weight=1)


def test_delay_below_gamma_1_warns():
    with pytest.warns(ConfoundWarning):
        Task(Ladder(), {"every": 4}, 0.9)


@pytest.mark.parametrize("reward", ARMS, ids=str)
@pytest.mark.parametrize("name", WORLDS)
def test_copies_put_back_go_on_as_they_would_have(name, reward):
    world, n = make(name), 8
    task = Task(world, reward, windows=(2,))
    generator = np.random.default_rng(3)
    vec, other = VecTask(task, n, 11), VecTask(task, n, 5)
    for _ in range(17):
        vec.step(random_actions(vec, generator))
    kept = vec.snapshot()
    other.restore(kept)
    shown = ("observations", "masks", "fresh_facts", "states", "rewards", "ended", "episodes")
    for _ in range(2 * world.max_steps):
        for array in shown:
            assert np.array_equal(getattr(other, array), getattr(vec, array)), array
        actions = random_actions(vec, generator)
        vec.step(actions)
        other.step(actions)
    # The snapshot is no view: it can be gone back to.
    other.restore(kept)
    assert all(np.array_equal(array, kept[name]) for name, array in other.snapshot().items())


def test_a_snapshot_of_other_copies_is_refused_and_changes_nothing():
    task = Task(Ladder(), {"every": 4})
    vec = VecTask(task, 5, 1)
    before = vec.snapshot()
    odd = {**before, "world.records": before["world.records"].astype(float)}
    missing = {name: array for name, array in before.items() if name != "memory"}
    for kept in (VecTask(task, 6, 2).snapshot(), odd, missing, {}):
        with pytest.raises(InvalidInput, match="snapshot"):
            vec.restore(kept)
        assert all(np.array_equal(array, before[name]) for name, array in vec.snapshot().items())


SIDE_BY_SIDE = [("dense", 0.9), ({"every": 3}, 1.0), ({"thinned": 0.5}, 1.0), ("terminal", 1.0)]


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("time_limit", ["terminal", "bootstrap"])
def test_tasks_side_by_side_are_each_as_alone(name, time_limit):
    """Other arms, discounts and weights, seeds alike and not; put back halfway."""
    world, n, seeds = make(name), 4, [3, 3, 2**50, 8]
    arms = [("dense", 0.9), ("shaped", 0.8), ({"thinned": 0.5}, 0.9), ("terminal", 0.5)]
    if time_limit == "terminal":
        arms = SIDE_BY_SIDE
    weights = [0.0, 0.5 if world.role("holdings") else 0.0] * 2
    tasks = [
        Task(world, arm, gamma, time_limit, weight, windows=(2, 3))
        for (arm, gamma), weight in zip(arms, weights, strict=True)
    ]
    together = VecTask(tasks, n, seeds)
    alone = [VecTask(task, n, seed) for task, seed in zip(tasks, seeds, strict=True)]
    generator, paid = np.random.default_rng(1), 0
    shown = ("observations", "masks", "fresh_facts", "rewards", "episodes", "terminated", "ended")
    for t in range(3 * world.max_steps):
        actions = random_actions(together, generator)
        together.step(actions)
        for i, vec in enumerate(alone):
            vec.step(actions[i * n : (i + 1) * n])
        for array in shown:
            expected = np.concatenate([getattr(vec, array) for vec in alone])
            assert getattr(together, array).tobytes() == expected.tobytes(), array
        last = np.concatenate([vec.final_observations for vec in alone])
        assert np.array_equal(together.final_observations[together.ended], last[together.ended])
        paid += (together.rewards != 0).reshape(4, n).any(axis=1)
        if t == world.max_steps:
            kept, together = together.snapshot(), VecTask(tasks, n, [9, 9, 9, 9])
            together.restore(kept)
    assert (paid > 0).all()


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Task(Ladder(rungs=2)), r"task\[1\]: .*allowed: one with the world"),
        (Task(Ladder(), windows=(2,)), r"task\[1\]"),
        (Task(Ladder(), acquired_so_far=True), r"task\[1\]"),
        (Task(Ladder(), gamma=0.5, time_limit="bootstrap"), r"task\[1\]"),
    ],
)
def test_tasks_that_cannot_stand_side_by_side_are_refused(other, words):
    with pytest.raises(InvalidInput, match=words):
        VecTask([Task(Ladder()), other], 2, [0, 1])


def test_a_single_task_may_have_several_seeds():
    this = Task(Ladder(), {"thinned": 0.5})
    together = VecTask(this, 3, [7, 7, 9])
    alone = [VecTask(this, 3, seed) for seed in (7, 7, 9)]
    for t in range(20):
        actions = np.arange(3) + t % 2 == 1
        together.step(np.tile(actions, 3))
        for one in alone:
            one.step(actions)
        for name in ("observations", "rewards", "ended"):
            parts = [getattr(one, name) for one in alone]
            assert np.array_equal(getattr(together, name), np.concatenate(parts))


@pytest.mark.parametrize("seed", [0, [0], [0, 1, 2]])
def test_each_task_has_a_seed_of_its_own(seed):
    with pytest.raises(InvalidInput, match=r"seed: got .*; allowed: 2 of them"):
        VecTask([Task(Ladder())] * 2, 2, seed)


class Blind(Wage):
    """Observes no number once `sight` steps are paid."""

    id = "test.blind"
    parameters = {"max_steps": Param(10), "sight": Param(0)}
    state = (("steps", "i8"),)

    @staticmethod
    def initial(p, s, c):
        s.steps = 0

    @staticmethod
    def transition(p, s, a, c):
        s.steps += 1

    @staticmethod
    def measure(p, s, out):
        out[F.success] = 1.0

    @staticmethod
    def observe(p, s, out):
        out[0] = np.nan if s.steps > p.sight else 1.0


def test_an_observation_that_is_no_number_is_named():
    vec = VecTask(Task(Blind(), "own"), 2)
    told = r"'test.blind', environment 1, step 1 of an episode: feature 'bias' is nan; allowed"
    with pytest.raises(WorldError, match=told):
        vec.step([0, 0])
    with pytest.raises(WorldError, match=r"environment 0, step 0 of an episode: .* is nan"):
        VecTask(Task(Blind(sight=-1), "own"), 2)


@pytest.mark.parametrize(("max_steps", "place"), [(9, "step 3"), (2, "the last step")])
def test_a_reward_that_is_no_number_is_named(monkeypatch, max_steps, place):
    monkeypatch.setattr(registry.rewards, "_entries", dict(registry.rewards._entries))

    @powerseek.register_reward("test.late")
    class Late(RewardFunction):
        """Pays infinity at the third step, and at the end."""

        def step(self, step):
            late = (step.clock == 3) | step.ended
            return np.where(late, np.inf, 0.0), step.memory

    tasks = [Task(Wage(max_steps=max_steps), reward) for reward in ("own", "test.late")]
    vec = VecTask(tasks, 1, [1, 2])
    for _ in range(min(max_steps, 3) - 1):
        vec.step([0, 0])
    told = f"environment 1, {place} of an episode: reward 'test.late' is inf"
    with pytest.raises(WorldError, match=told):
        vec.step([0, 0])
