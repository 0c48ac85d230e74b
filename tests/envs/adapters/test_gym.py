"""gymnasium's own checks over every world, and its rules on autoreset and seeds."""

import subprocess
import sys

import broken
import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import DictInfoToList
from stable_baselines3.common.env_checker import check_env as sb3_check_env

import powerseek
from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.envs.adapters.gym import WorldEnv, WorldVectorEnv
from powerseek.envs.task import Task, VecTask
from powerseek.envs.world import Param
from powerseek.errors import InvalidInput
from powerseek.ids import gymnasium_id
from powerseek.registry import PluginWarning, worlds

WORLDS = powerseek.list_worlds()
IDS = [gymnasium_id(world) for world in WORLDS]


def legal(mask, generator):
    return int(generator.choice(np.flatnonzero(mask)))


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("reward", ["dense", {"every": "cap"}], ids=str)
def test_gymnasium_s_checker_passes(world, reward):
    check_env(gymnasium.make(gymnasium_id(world), reward=reward).unwrapped)


@pytest.mark.parametrize("id", IDS)
def test_ids_make_one_copy_or_many(id):
    one, many = gymnasium.make(id), gymnasium.make_vec(id, num_envs=3)
    assert isinstance(one.unwrapped, WorldEnv)
    assert isinstance(many, WorldVectorEnv)
    assert many.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert many.single_observation_space == one.observation_space
    assert many.observation_space.shape == (3, *one.observation_space.shape)
    one.close()
    many.close()


@pytest.mark.parametrize(
    ("world", "id"),
    [
        ("homestead", "powerseek/Homestead-v0"),
        ("leaky-chess", "powerseek/LeakyChess-v0"),
        ("lab.meadow", "lab/Meadow-v0"),
        ("lab.deep-sea", "lab/DeepSea-v0"),
        ("big-lab.deep.sea_2", "biglab/DeepSea_2-v0"),
        ("lab.meadow@0.5", "lab/Meadow05-v0"),
    ],
)
def test_the_id_of_a_world(world, id):
    assert gymnasium_id(world) == id


@pytest.fixture
def registered():
    """Registers worlds for one test."""
    kept, ids = dict(worlds._entries), set(gymnasium.registry)
    yield powerseek.register_world
    worlds._entries.clear()
    worlds._entries.update(kept)
    for id in set(gymnasium.registry) - ids:
        del gymnasium.registry[id]


def test_a_world_that_is_registered_has_an_id_at_once(registered):
    registered("lab.deep-barn", type("DeepBarn", (broken.Barn,), {}))
    envs = gymnasium.make_vec("lab/DeepBarn-v0", num_envs=2, hazard=0.0)
    assert envs.reset(seed=0)[0].shape[0] == 2
    assert envs.unwrapped.task.world.id == "lab.deep-barn"


def test_of_two_worlds_with_one_id_the_second_is_named(registered):
    registered("lab.deep-barn", type("DeepBarn", (broken.Barn,), {}))
    with pytest.warns(PluginWarning, match=r"'lab.deep.barn' gets no gymnasium id: another"):
        registered("lab.deep.barn", type("OtherBarn", (broken.Barn,), {}))
    assert gymnasium.spec("lab/DeepBarn-v0").kwargs == {"world": "lab.deep-barn"}
    assert powerseek.make_world("lab.deep.barn")


@pytest.mark.parametrize("limit", [2, 5])
@pytest.mark.parametrize("world", WORLDS)
def test_max_episode_steps_truncates_as_gymnasium_s_time_limit_does(world, limit):
    """The native vector against gymnasium's own, of one environment: the same seed is the same."""
    native = gymnasium.make_vec(gymnasium_id(world), max_episode_steps=limit, reward={"every": 3})
    theirs = gymnasium.make_vec(
        gymnasium_id(world),
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": "SameStep"},
        max_episode_steps=limit,
        reward={"every": 3},
    )
    rng, cuts = np.random.default_rng(0), 0
    one, two = native.reset(seed=3), theirs.reset(seed=3)
    for _ in range(20):
        assert same(one, two)
        action = [legal(one[-1]["action_mask"][0], rng)]
        one, two = native.step(action), theirs.step(action)
        cuts += one[3][0]
        for infos in (one[-1], two[-1]):  # nobody acts any more; the wrapper still tells how
            infos.get("final_info", {}).pop("action_mask", None)
    assert cuts or limit > 2


def same(one, two):
    """Whether nested dicts, tuples and arrays are equal."""
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, tuple) or getattr(one, "dtype", None) == np.dtype(object):
        return len(one) == len(two) and all(map(same, one, two))
    return bool(np.all(np.asarray(one) == np.asarray(two)))


def test_some_are_cut_while_others_go_on():
    envs, free = (WorldVectorEnv(3, "endgame", max_episode_steps=n) for n in (6, -1))
    a, b = free.reset(seed=1), envs.reset(seed=1)
    for _ in range(5):
        actions = a[-1]["action_mask"].argmax(axis=1)
        a, b = free.step(actions), envs.step(actions)
        assert same(a, b)
    actions = a[-1]["action_mask"].argmax(axis=1)
    a, b = free.step(actions), envs.step(actions)
    cut = b[3] & ~b[2]
    assert cut.tolist() == [False, True, False]
    assert np.array_equal(b[0][~cut], a[0][~cut])
    assert np.array_equal(b[4]["final_obs"][1], a[0][1])
    assert b[4]["final_info"]["progress"][1] == a[4]["progress"][1]
    assert np.array_equal(b[1], a[1])


@pytest.mark.parametrize("limit", [0, -2, 2.5, True, "5"])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(InvalidInput, match="max_episode_steps: got"):
        WorldVectorEnv(2, "endgame", max_episode_steps=limit)


def test_a_foreign_world_is_cut_too(registered):
    class Balance(ForeignWorld):
        """CartPole."""

        parameters = {"max_steps": Param(200)}
        environment = staticmethod(lambda params: gymnasium.make("CartPole-v1"))
        read = staticmethod(lambda params, moment: {"progress": 0, "success": 0})

    registered("test.balance", Balance)
    envs = gymnasium.make_vec("test/Balance-v0", num_envs=2, max_episode_steps=4)
    envs.reset(seed=0)
    for _ in range(4):
        observations, *_, truncated, infos = envs.step([0, 1])
    assert truncated.all()
    assert not np.array_equal(infos["final_obs"][0], observations[0])
    assert observations[:, -1].tolist() == [1, 1]


@pytest.mark.parametrize("world", WORLDS)
def test_stable_baselines3_s_checker_passes(world):
    sb3_check_env(gymnasium.make(gymnasium_id(world)))


def test_wrappers_of_gymnasium_work():
    env = gymnasium.make("powerseek/Homestead-v0", max_episode_steps=7, render_mode="rgb_array")
    for wrap in (
        gymnasium.wrappers.FlattenObservation,
        gymnasium.wrappers.NormalizeObservation,
        gymnasium.wrappers.RecordEpisodeStatistics,
        gymnasium.wrappers.Autoreset,
    ):
        env = wrap(env)
    env.reset(seed=0)
    for _ in range(7):
        *_, truncated, info = env.step(0)
    assert truncated
    assert info["episode"]["l"] == 7
    assert env.render().ndim == 3
    envs = gymnasium.make_vec("powerseek/Homestead-v0", num_envs=2, max_episode_steps=7)
    envs = gymnasium.wrappers.vector.RecordEpisodeStatistics(envs)
    envs.reset(seed=0)
    for _ in range(7):
        *_, infos = envs.step([0, 0])
    lengths = infos.get("episode", infos.get("final_info", {}).get("episode"))["l"]
    assert lengths.tolist() == [7, 7]


def test_importing_powerseek_registers_ids_and_loads_no_simulator():
    code = (
        "import sys, powerseek, gymnasium; "
        "assert 'powerseek/Homestead-v0' in gymnasium.registry; "
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("world", WORLDS)
def test_an_episode_of_a_seed_is_copy_0_of_the_simulator(world):
    env = WorldEnv(world, {"every": 3})
    vec = VecTask(Task(env.task.world, {"every": 3}), 1, seed=11)
    observation, info = env.reset(seed=11)
    assert np.array_equal(observation, vec.observations[0])
    generator = np.random.default_rng(0)
    episodes = 0
    while episodes < 3:
        assert np.array_equal(info["action_mask"], vec.masks[0])
        action = legal(info["action_mask"], generator)
        observation, reward, terminated, truncated, info = env.step(action)
        vec.step([action])
        ended = vec.ended[0]
        expected = vec.final_observations if ended else vec.observations
        assert np.array_equal(observation, expected[0])
        assert (reward, terminated or truncated) == (vec.rewards[0], ended)
        success = vec.task.world.columns("success").start
        assert info["success"] == vec.facts[0, success]
        if ended:
            episodes += 1
            observation, info = env.reset()
            assert np.array_equal(observation, vec.observations[0])


@pytest.mark.parametrize("world", WORLDS)
def test_many_copies_follow_the_simulator_and_keep_final_facts(world):
    envs = WorldVectorEnv(4, world)
    vec = VecTask(Task(envs.task.world), 4, seed=2)
    observations, infos = envs.reset(seed=2)
    generator = np.random.default_rng(0)
    ends = 0
    for _ in range(2 * envs.task.world.max_steps + 2):
        assert np.array_equal(observations, vec.observations)
        actions = [legal(mask, generator) for mask in infos["action_mask"]]
        before = observations.copy()
        kept = observations
        observations, rewards, terminated, truncated, infos = envs.step(actions)
        assert np.array_equal(kept, before)  # arrays handed out are never written again
        vec.step(actions)
        assert np.array_equal(rewards, vec.rewards)
        assert np.array_equal(terminated | truncated, vec.ended)
        for fact in envs.task.world.facts:
            columns = envs.task.world.columns(fact.name)
            standing = vec.fresh_facts[:, columns]
            assert np.array_equal(infos[fact.name].reshape(4, -1), standing)
            if vec.ended.any():
                final = infos["final_info"][fact.name].reshape(4, -1)
                assert np.array_equal(final[vec.ended], vec.facts[vec.ended][:, columns])
        assert ("final_obs" in infos) == vec.ended.any()
        for i in np.flatnonzero(vec.ended):
            ends += 1
            assert infos["_final_obs"][i]
            assert infos["_final_info"][i]
            assert np.array_equal(infos["final_obs"][i], vec.final_observations[i])
    assert ends >= 4


def test_infos_have_the_layout_of_gymnasium_s_own_vector_env():
    def run(mode):
        envs = gymnasium.make_vec(
            "powerseek/Endgame-v0",
            num_envs=2,
            vectorization_mode=mode,
            max_steps=3,
            **({"vector_kwargs": {"autoreset_mode": "SameStep"}} if mode == "sync" else {}),
        )
        envs.reset(seed=1)
        seen = [envs.step(np.zeros(2, int))[4] for _ in range(3)]
        envs.close()
        return seen

    def layout(infos):
        return {
            key: layout(value) if isinstance(value, dict) else np.shape(value)
            for key, value in infos.items()
        }

    for native, synced in zip(run("vector_entry_point"), run("sync"), strict=True):
        assert layout(native) == layout(synced)


def test_vector_infos_as_a_list():
    envs = DictInfoToList(gymnasium.make_vec("powerseek/Endgame-v0", num_envs=2, max_steps=2))
    _, infos = envs.reset(seed=0)
    assert infos[1]["success"] == 0
    envs.step([0, 0])
    *_, infos = envs.step([0, 0])
    assert infos[0]["final_info"]["over"] in (0, 1)
    assert infos[0]["final_obs"].shape == envs.unwrapped.single_observation_space.shape


def test_resetting_in_mid_episode_goes_to_the_next_one():
    env = WorldEnv("endgame")
    env.reset(seed=3)
    env.step(0)
    env.reset()
    assert env._envs.episodes[0] == 1
    envs = WorldVectorEnv(2, "endgame")
    envs.reset(seed=3)
    envs.step([0, 0])
    envs.reset()
    assert envs._envs.episodes.tolist() == [1, 1]


def test_stepping_without_an_episode_is_refused():
    env = WorldEnv("endgame", max_steps=1)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    env.reset(seed=0)
    env.step(0)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    with pytest.raises(gymnasium.error.ResetNeeded):
        WorldVectorEnv(2, "endgame").step([0, 0])


def test_settings_pass_through_and_bad_ones_are_named():
    env = gymnasium.make("powerseek/Homestead-v0", openness=2, reward={"every": 8}, windows=(4,))
    task = env.unwrapped.task
    assert (task.world.params.openness, task.windows) == (2, (4, 8))
    for wrong, words in (
        ({"reward": "dnse"}, "Did you mean 'dense'"),
        ({"opennes": 1}, "opennes"),
        ({"gamma": 2}, "gamma: got 2"),
    ):
        with pytest.raises(InvalidInput, match=words):
            gymnasium.make("powerseek/Homestead-v0", **wrong)


@pytest.mark.parametrize("world", WORLDS)
def test_the_picture_is_text(world):
    env = WorldEnv(world, render_mode="ansi")
    assert env.render() is None
    env.reset(seed=0)
    assert isinstance(env.render(), str)
    assert env.render().strip()
    envs = WorldVectorEnv(2, world, render_mode="ansi")
    envs.reset(seed=0)
    assert envs.render()[0] == env.render()
