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
