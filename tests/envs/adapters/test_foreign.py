"""A foreign gymnasium environment joins with facts from a hook."""

import gymnasium
import numpy as np
import pytest

from powerseek.envs.adapters.foreign import ForeignWorld, VecForeign
from powerseek.envs.task import Task, VecTask
from powerseek.envs.world import Fact, Param
from powerseek.errors import InvalidInput, WorldError


class Balance(ForeignWorld):
    """CartPole; success = the pole has stood for max_steps steps."""

    id = "test.balance"
    parameters = {"max_steps": Param(200)}
    more_facts = (Fact("pushes", shape=(2,), flow=True, roles=("resource",)),)

    @staticmethod
    def environment(params):
        return gymnasium.make("CartPole-v1")

    @staticmethod
    def read(params, moment):
        return {
            "progress": min(moment.clock / params.max_steps, 1.0),
            "success": float(moment.clock >= params.max_steps and not moment.terminated),
            "pushes": [moment.clock > 0, 0],
        }


def upright(observations):
    """A balancing policy: push towards where the pole is falling."""
    return (observations[:, 2] + 0.5 * observations[:, 3] > 0).astype(int)


def test_the_same_episodes_as_the_environment_itself():
    vec = VecTask(Task(Balance(), "own"), 2, seed=9)
    key = int(np.random.SeedSequence((9, 1, 0)).generate_state(1)[0] >> 1)
    env = gymnasium.make("CartPole-v1")
    observation, _ = env.reset(seed=key)
    ended = False
    while not ended:
        assert vec.observations[1, :4] == pytest.approx(observation)
        vec.step([1, 1])
        observation, reward, ended, _, _ = env.step(1)
        assert (vec.rewards[1], vec.world.terminated[1]) == (reward, ended)
    assert vec.final_observations[1, :4] == pytest.approx(observation)
    assert vec.episodes[1] == 1
    assert vec.states["clock"][1] == 0


@pytest.mark.parametrize("reward", ["dense", {"every": 50}, "shaped", "terminal"], ids=str)
def test_arms_work_on_facts_from_the_hook(reward):
    vec = VecTask(Task(Balance(), reward), 3)
    total = np.zeros(3)
    for _ in range(200):
        assert not vec.ended.any()
        vec.step(upright(vec.observations))
        total += vec.rewards
    assert vec.world.truncated.all()
    assert vec.terminated.all()
    assert total == pytest.approx(np.ones(3))
    assert vec.facts[:, vec.task.world.columns("pushes")].tolist() == [[1, 0]] * 3
    assert vec.task.world.fact_names[-2:] == ("pushes[0]", "pushes[1]")


def test_batch_size_and_order_change_nothing():
    big, small = VecForeign(Balance(), 4, 1), VecForeign(Balance(), 2, 1)
    for t in range(60):
        big.step([t % 2, 0, 1, 1])
        small.step([t % 2, 0])
        assert np.array_equal(big.observations[:2], small.observations)
        assert np.array_equal(big.fresh_facts[:2], small.fresh_facts)
    big.reset()
    again = VecForeign(Balance(), 4, 1)
    assert np.array_equal(big.observations, again.observations)
    big.close()


def test_equal_seeds_of_one_task_share_their_chance():
    """As of worlds with rules: two copies for each of three seeds, the first two alike."""
    twins, alone = VecForeign(Balance(), 2, [4, 4, 5]), VecForeign(Balance(), 2, 5)
    for t in range(40):
        twins.step([t % 2] * 6)
        alone.step([t % 2] * 2)
        assert np.array_equal(twins.observations[:2], twins.observations[2:4])
        assert np.array_equal(twins.observations[4:], alone.observations)
    assert not np.array_equal(twins.observations[0], twins.observations[1])
    assert not np.array_equal(twins.observations[:2], twins.observations[4:])
    with pytest.raises(InvalidInput, match="3 of them, as at its making"):
        twins.reset(5)
    with pytest.raises(InvalidInput, match="seed: got -1"):
        VecForeign(Balance(), 1, -1)


class Room(gymnasium.Env):
    """Observes a dict, starts counting actions at 5, and offers a mask and facts in info."""

    observation_space = gymnasium.spaces.Dict({"place": gymnasium.spaces.Discrete(3)})
    action_space = gymnasium.spaces.Discrete(2, start=5)
    told = {"progress": 0.5, "success": 0, "over": 0}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return {"place": 1}, {**self.told, "action_mask": [1, 0]}

    def step(self, action):
        assert action in (5, 6)
        return {"place": 2}, 0.25, False, False, {**self.told, "action_mask": [1, 1]}


class RoomWorld(ForeignWorld):
    """A room with a featuriser; facts come from info."""

    id = "test.room"
    parameters = {"max_steps": Param(200)}
    told = Room.told

    @classmethod
    def environment(cls, params):
        room = Room()
        room.told = cls.told
        return room

    @staticmethod
    def featurise(params, observation):
        return np.eye(3)[observation["place"]]


def test_featuriser_mask_and_facts_from_info():
    vec = VecTask(Task(RoomWorld(max_steps=5)), 1)
    assert vec.observations[0].tolist() == [0, 1, 0, 1]
    assert vec.masks.tolist() == [[True, False]]
    vec.step([1])
    assert vec.masks.all()
    assert vec.observations[0].tolist() == pytest.approx([0, 0, 1, 0.8])
    assert vec.task.world.n_actions == 2


class Sometimes(RoomWorld):
    """A room that offers a mask only at a reset."""

    @classmethod
    def environment(cls, params):
        room = super().environment(params)
        step = room.step
        room.step = lambda action: (*step(action)[:4], dict(Room.told))
        return room


def test_where_no_mask_is_told_everything_is_allowed():
    vec = VecForeign(Sometimes(), 2)
    assert vec.masks.tolist() == [[True, False]] * 2
    vec.step([0, 0])
    assert vec.masks.all()


@pytest.mark.parametrize("mask", [[0, 0], [1], [1, 1, 1]])
def test_a_mask_that_allows_nothing_or_does_not_fit_is_named(mask):
    class Shut(RoomWorld):
        """A room with a bad mask."""

        told = {**Room.told}

        @classmethod
        def environment(cls, params):
            room = super().environment(params)
            room.reset = lambda **_: ({"place": 1}, {**Room.told, "action_mask": mask})
            return room

    words = r"info\['action_mask'\]: got .*; allowed: 2 truths, at least one of them true"
    with pytest.raises(InvalidInput, match=words):
        VecForeign(Shut(), 1)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"success": 0}, r"info\['progress'\]: got None; allowed: a number at every step"),
        (
            {"progress": 0.1},
            r"info\['success'\]: got None.*it has: action_mask, progress.*Put it into info",
        ),
        ({"progress": 1.5, "success": 0}, r"info\['progress'\]: got 1.5; allowed: 0 to 1"),
        ({"progress": float("nan"), "success": 0}, r"info\['progress'\]: got nan"),
        ({"progress": [0, 1], "success": 0}, r"info\['progress'\]: got \[0, 1\]"),
        ({"progress": "half", "success": 0}, r"info\['progress'\]: got 'half'"),
        ({"progress": 0, "success": 0.5}, r"info\['success'\]: got 0.5; allowed: 0 or 1"),
    ],
)
def test_a_missing_or_wrong_fact_is_named_once(told, words):
    class Silent(RoomWorld):
        """A room that says too little, or what it must not."""

    Silent.told = {"action_mask": [1, 1], **told}
    with pytest.raises(InvalidInput, match=words):
        VecTask(Task(Silent()), 1)


class Faulty(gymnasium.Env):
    """Three steps; in the second it gives `fault`, which replaces parts of what a step gives."""

    observation_space = gymnasium.spaces.Box(0, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)
    fault = {}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(2, np.float32), {"progress": 0, "success": False}

    def step(self, action):
        self.t += 1
        given = {
            "observation": np.zeros(2),
            "reward": np.float32(0.5),
            "terminated": np.bool_(self.t == 3),
            "truncated": False,
            "progress": np.uint8(0),
            "success": np.bool_(False),
            "action_mask": np.array([True, False]) if self.t < 3 else [0, 0],
        }
        given |= self.fault if self.t == 2 else {}
        names = ("observation", "reward", "terminated", "truncated")
        return (*(given.pop(name) for name in names), given)


class FaultyWorld(ForeignWorld):
    """A world of it."""

    id = "test.faulty"
    parameters = {"max_steps": Param(9)}
    environment = staticmethod(lambda params: Faulty())


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("reward", NAN, r"reward: got nan; allowed: a finite number"),
        ("reward", np.float32(INF), r"reward: got .*inf.*; allowed: a finite number"),
        ("reward", None, r"reward: got None; allowed: a finite number"),
        ("reward", 2**70, r"reward: got 1180591620717411303424; allowed: a finite number"),
        ("terminated", NAN, r"terminated: got nan; allowed: 0 or 1"),
        ("truncated", NAN, r"truncated: got nan; allowed: 0 or 1"),
        ("progress", NAN, r"info\['progress'\]: got nan; allowed: 0 to 1"),
        ("own", -INF, r"info\['own'\]: got -inf; allowed: a finite number"),
        ("observation", [0, NAN], r"test.faulty.featurise: got \[0, nan\]; allowed: .*finite"),
        ("observation", [0, 1e300], r"test.faulty.featurise: got \[0, 1e\+300\]"),
        ("observation", [1], r"test.faulty.featurise: got \[1\]; allowed: 2 features"),
        ("observation", np.full((99, 99), NAN), r"test.faulty.featurise: got array.*; allowed: "),
        ("action_mask", [1, NAN], r"info\['action_mask'\]: got \[1, nan\]; allowed: 2 truths"),
        ("action_mask", [False, False], r"info\['action_mask'\].*at least one of them true"),
    ],
)
def test_a_fault_is_named_with_its_step_under_a_reward_that_does_not_look(field, value, told):
    class World(FaultyWorld):
        """A world with one fault."""

        environment = staticmethod(lambda params: environment)

    environment = Faulty()
    environment.fault = {field: value}
    vec = VecTask(Task(World(), "dense"), 1)
    vec.step([0])
    with pytest.raises(InvalidInput, match=told) as raised:
        vec.step([0])
    assert "step 2" in str(raised.value)
    assert "test.faulty" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_small_and_logical_types_are_numbers_and_an_end_needs_no_legal_action():
    vec = VecTask(Task(FaultyWorld(), "own"), 2)
    for _ in range(3):
        vec.step([0, 0])
    assert vec.rewards.tolist() == [0.5, 0.5]
    assert vec.ended.all()
    assert vec.episodes.tolist() == [1, 1]


def test_what_cannot_be_done_says_so():
    class Continuous(ForeignWorld):
        """Actions are a box."""

        parameters = {"max_steps": Param(200)}

        @staticmethod
        def environment(params):
            return gymnasium.make("Pendulum-v1")

    class Raw(RoomWorld):
        """No featuriser for a dict."""

        featurise = staticmethod(lambda params, observation: observation)

    class Broken(RoomWorld):
        """A hook that raises."""

        @staticmethod
        def read(params, moment):
            raise RuntimeError("no such sensor")

    with pytest.raises(InvalidInput, match=r"action_space.*Discrete"):
        _ = Continuous().n_actions
    with pytest.raises(InvalidInput, match="Give the world a featurise"):
        _ = Raw().observation_names
    with pytest.raises(InvalidInput, match="world with rules"):
        _ = Balance().prepared
    with pytest.raises(WorldError, match="no such sensor"):
        VecTask(Task(Broken()), 1)
    with pytest.raises(InvalidInput, match="actions"):
        VecForeign(Balance(), 2).step([0, 2])
