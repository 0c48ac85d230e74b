"""Random and the scripted pair, acting in the simulator, do what the exact layer says."""

import numpy as np
import pytest
from agreement import WORLDS, N, agrees, make

from powerseek.agents import RandomPolicy, ScriptedPolicy, rollout, train
from powerseek.envs.task import Task, VecTask
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact import enumerated, evaluate, random_policy, scripted_policy
from powerseek.types import Policy


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("agent", ["minimalist", "hoarder", "random"])
def test_an_agent_does_in_the_simulator_what_it_does_exactly(name, agent):
    world = make(name)
    mdp = enumerated(world)
    tabular = random_policy(mdp) if agent == "random" else scripted_policy(mdp, agent)
    done = train(Task(world), agent)
    assert isinstance(done.policy, Policy)
    agrees(rollout(done.policy, Task(world), N, seed=3), world, evaluate(mdp, tabular))
    assert evaluate(mdp, done.policy).success == pytest.approx(evaluate(mdp, tabular).success)


@pytest.mark.parametrize("name", WORLDS)
def test_probabilities_are_over_legal_actions(name):
    world = make(name)
    vec = VecTask(Task(world), 40, 0)
    policies = [RandomPolicy(), *(ScriptedPolicy(world, s) for s in ("minimalist", "hoarder"))]
    generator = np.random.default_rng(0)
    for _ in range(15):
        for policy in policies:
            shown = policy.probabilities(vec.situation)
            assert shown.shape == vec.masks.shape
            assert np.allclose(shown.sum(axis=1), 1)
            assert (shown[~vec.masks] == 0).all()
        vec.step([generator.choice(np.flatnonzero(mask)) for mask in vec.masks])
    uniform = policies[0].probabilities(vec.situation)
    assert np.allclose(uniform, vec.masks / vec.masks.sum(axis=1, keepdims=True))
    assert set(np.unique(policies[1].probabilities(vec.situation))) <= {0, 1}


def test_a_world_without_the_script_is_named():
    class Plain(World):
        id = "test.plain"
        parameters = type(make("ladder")).parameters
        facts = type(make("ladder")).facts

    with pytest.raises(InvalidInput, match="scripts"):
        ScriptedPolicy(Plain(), "hoarder")
    with pytest.raises(InvalidInput, match="scripts"):
        train(Task(Plain()), "minimalist")
