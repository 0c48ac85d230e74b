"""The library's algorithms as agents: what each does, and what is refused."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from families import small_settings
from worlds import Ladder, Recall

import powerseek
from powerseek.agents import Job, check_agent, load_agent, rollout, rollouts, save_agent, train
from powerseek.agents.foreign.illegal import RENORMALISE, acting, illegal_fraction
from powerseek.agents.sb3.families import FAMILIES
from powerseek.agents.sb3.learner import LibraryLearner
from powerseek.agents.sb3.policies import MemoryPolicy, ValuePolicy
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.exact import evaluate, oracle
from powerseek.experiments.study.checked import cells
from powerseek.experiments.study.schema import make_study
from powerseek.experiments.sweep.evaluate import Evaluator
from powerseek.registry import agents
from powerseek.types import Policy, RecurrentPolicy, Situation

every = pytest.mark.parametrize("agent", FAMILIES)
VALUES = [id for id, family in FAMILIES.items() if family.acts == "values"]
values = pytest.mark.parametrize("agent", VALUES)
BATCH = 120


def task(**params):
    return Task(Ladder(**{"hazard": 0.1, "max_steps": 6, **params}))


def trained(agent, this=None, batches=1, **settings):
    given = small_settings(agent) | settings
    return train(this or task(), agent, seed=1, timesteps=batches * BATCH, settings=given)


def situations(n, obs=4, actions=3, seed=0):
    """n random observations, any actions legal but at least one."""
    generator = np.random.default_rng(seed)
    masks = generator.random((n, actions)) < 0.5
    masks[np.arange(n), generator.integers(actions, size=n)] = True
    observations = generator.normal(size=(n, obs)).astype(np.float32)
    return Situation(observations, masks, np.zeros(n, "V8"))


# --- the table -----------------------------------------------------------------------------------


def test_every_family_is_an_agent_and_every_agent_says_what_it_does_with_masks():
    for id, family in FAMILIES.items():
        builder = agents.get(id)
        assert builder.family is family
        assert builder.shared is None
        told = " ".join(builder.__doc__.split())
        assert ("wasted step" in told or "masks and checkpoints are as" in told) != family.masked


def test_settings_are_asked_for_without_pytorch():
    code = (
        "import sys, powerseek\nfrom powerseek.agents import check_agent\n"
        "from powerseek.envs.task import Task\n"
        f"for agent in {list(FAMILIES)}: check_agent(Task(powerseek.make_world('star')), agent)\n"
        "assert not {'torch', 'stable_baselines3', 'sb3_contrib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@every
def test_settings_are_all_the_library_s_own_words(agent):
    """None is left over: each goes to the algorithm, to its network, or to what surrounds it."""
    family = FAMILIES[agent]
    around = {"n_envs", "learning_rate", "final_learning_rate", "net", "activation"}
    assert set(family.defaults) == {*family.passed_on, *family.shaped_by} | around
    chosen = check_agent(task(), agent)
    assert check_agent(task(), agent, chosen) == chosen


@every
def test_sizes_of_networks_are_known_beforehand(agent):
    given = {"net": [8, 5], "n_lstm_layers": 2} if agent == "recurrent-ppo" else {"net": [8, 5]}
    this = task()
    done = trained(agent, this, **given)
    numbers = sum(part.numel() for part in done.model.policy.state_dict().values())
    family = FAMILIES[agent]
    assert numbers == family.weights(done.settings, this.observation_size, this.n_actions)


@every
def test_updates_are_gradient_steps(agent):
    job = Job(task(), 1, 3 * BATCH, check_agent(task(), agent, small_settings(agent)))
    learner = LibraryLearner(job, FAMILIES[agent], agent)
    optimizer, taken = learner.model.policy.optimizer, []
    step = optimizer.step

    def counted(*given, **more):
        taken.append(0)
        return step(*given, **more)

    optimizer.step = counted
    for _ in range(3):
        learner.update()
    natural = 3 if agent == "trpo" else 0  # steps that are no optimiser's
    assert learner.updates == len(taken) + natural > 0
    assert learner.timesteps == 3 * BATCH
    assert learner.losses
    assert all(np.isfinite(loss) for loss in learner.losses.values())


LEARNING = {
    "a2c": {"n_envs": 8, "n_steps": 5, "learning_rate": 0.01},
    "trpo": {"n_envs": 8, "n_steps": 32, "batch_size": 64, "target_kl": 0.05},
    "recurrent-ppo": {"n_envs": 16, "n_steps": 16, "batch_size": 64, "learning_rate": 0.01},
    "dqn": {"learning_starts": 200, "target_update_interval": 100, "exploration_final_eps": 0.02},
}
LEARNING["qrdqn"] = LEARNING["dqn"] | {"n_quantiles": 5}


@pytest.mark.slow  # in every run they learn a ladder (test_agents)
@pytest.mark.parametrize(("agent", "given"), LEARNING.items(), ids=LEARNING)
def test_each_learns_to_reach_a_leaf(agent, given):
    """An even draw of all actions ends on the right one of four leaves in about .4 of episodes."""
    this = Task(powerseek.make_world("star"), "terminal")
    done = train(this, agent, seed=1, timesteps=2560, settings={**given, "net": [16]})
    assert rollout(done.policy, this, 1000, seed=9).last("success").mean() >= 0.9


# --- action values -------------------------------------------------------------------------------


@values
@pytest.mark.parametrize("epsilon", [0.0, 0.05, 0.3, 1.0])
def test_probabilities_are_eps_greedy_over_all_actions(agent, epsilon):
    policy = trained(agent, exploration_final_eps=epsilon).policy
    assert isinstance(policy, ValuePolicy)
    this = situations(300, task().observation_size)
    network = policy.network
    network.set_training_mode(False)
    best = network._predict(torch.as_tensor(this.observations)).numpy()
    expected = np.full((300, 3), epsilon / 3)
    expected[np.arange(300), best] += 1 - epsilon
    assert len(set(best.tolist())) > 1
    assert np.array_equal(policy.probabilities(this), expected)
    if epsilon:  # illegal actions have their part
        assert (policy.probabilities(this)[~this.masks] > 0).all()


@values
def test_values_that_are_no_numbers_are_refused(agent):
    done = trained(agent)
    with torch.no_grad():
        next(done.model.policy.parameters()).fill_(torch.nan)
    for greedy in (False, True):
        with pytest.raises(InvalidInput, match="policy"):
            rollout(done.policy, task(), 3, greedy=greedy)


def test_targets_look_as_many_steps_ahead_as_a_study_says():
    keys = {"worlds": [{"id": "star"}], "agents": ["dqn", "qrdqn"], "timesteps": 100, "name": "s"}
    found = cells(make_study({**keys, "seeds": 1, "n_step": [1, 4]}))
    told = {(cell.agent, cell.n_step, cell.config["settings"]["n_step"]) for cell in found}
    assert told == {(agent, n, n) for agent in VALUES for n in (1, 4)}
    for agent in VALUES:
        model = trained(agent, n_step=4).model
        assert model.n_steps == model.replay_buffer.n_steps == 4


# --- memory --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recurrent():
    policy = trained("recurrent-ppo", n_lstm_layers=2).policy
    with torch.no_grad():
        policy.network.action_net.weight.mul_(100)
    return policy


def test_a_row_of_memory_is_reached_by_its_own_episode_alone(recurrent):
    assert isinstance(recurrent, RecurrentPolicy)
    assert isinstance(recurrent, Policy)
    this, obs = situations(6, task().observation_size), task().observation_size
    first, memory = recurrent.step(this, recurrent.begin(6))
    assert np.abs(first.sum(axis=1) - 1).max() < 1e-12
    before, after = recurrent.step(this, memory)
    assert not np.array_equal(first, before)  # it remembers
    changed = memory.copy()
    changed[2] += 1
    seen = this.observations.copy()
    seen[4] = situations(1, obs, seed=9).observations[0]
    other, rows = recurrent.step(Situation(seen, this.masks, this.states), changed)
    for i in range(6):
        touched = i in (2, 4)
        assert np.array_equal(other[i], before[i]) != touched
        assert np.array_equal(rows[i], after[i]) != touched


def test_memory_is_the_library_s(recurrent):
    """Probabilities along an episode are those of the library's own network, started at zero."""
    network, memory = recurrent.network, recurrent.begin(5)
    held = (torch.zeros(2, 5, 4), torch.zeros(2, 5, 4))
    for t in range(4):
        this = situations(5, task().observation_size, seed=t)
        with torch.no_grad():
            seen = torch.as_tensor(this.observations)
            expected, held = network.get_distribution(seen, held, torch.zeros(5))
        found, memory = recurrent.step(this, memory)
        assert np.abs(found - expected.distribution.probs.numpy()).max() < 1e-6


class Watched:
    """A recurrent policy that counts its steps in the episode, and takes legal actions."""

    inexact = "it counts"

    def __init__(self):
        self.seen = []

    def begin(self, n):
        return np.zeros((n, 1), np.float32)

    def step(self, situation, memory):
        self.seen.append((situation.observations[:, -1].copy(), memory[:, 0].copy()))
        return situation.masks / situation.masks.sum(axis=1, keepdims=True), memory + 1

    def probabilities(self, situation):
        raise InvalidInput("policy", "it counts", "steps")


def test_rollouts_hand_over_the_memory_of_each_episode_from_its_start():
    """Time left is observed: memory must count what has passed, whoever else has ended."""
    policy, this = Watched(), task(hazard=0.4)
    rollout(policy, this, 70, seed=3, batch=16)
    for left, counted in policy.seen:
        assert np.allclose(1 - counted / 6, left, atol=1e-6)
    assert {len(left) for left, _ in policy.seen} > {16}  # and some ended before others


def test_episodes_of_a_recurrent_agent_are_its_own_beside_others(recurrent):
    this = task()
    alone = rollout(recurrent, this, 40, seed=3)
    plain = trained("ppo").policy
    beside, *_ = rollouts([recurrent, plain, recurrent], [this] * 3, 40, [3, 3, 4])
    assert np.array_equal(alone.actions, beside.actions)
    assert np.array_equal(alone.facts, beside.facts)


def test_exact_evaluation_of_a_recurrent_agent_is_absent_and_says_why(recurrent):
    this = task()
    with pytest.raises(InvalidInput, match="Measure it on episodes"):
        recurrent.probabilities(situations(2))
    with pytest.raises(InvalidInput, match="remembers"):
        evaluate(this.world, recurrent)
    evaluator = Evaluator(this, oracle(this.world), None, 0)
    rows = evaluator.rows(recurrent, 20, about={})
    assert {row["evaluation"] for row in rows} == {"sampled", "greedy", "exact"}
    (absent,) = [row for row in rows if row["evaluation"] == "exact"]
    assert np.isnan(absent["value"])
    assert absent["unit"] == MemoryPolicy.inexact


def test_illegal_choices_of_a_recurrent_agent_are_counted_and_left_out(recurrent):
    this = task(rungs=10, hazard=0.0, max_steps=20)
    assert illegal_fraction(recurrent, this, 30, 1) > 0
    assert illegal_fraction(recurrent, this, 30, 1, RENORMALISE) >= 0
    legal = acting(recurrent, RENORMALISE)
    assert legal.inexact == recurrent.inexact
    shown = situations(50, this.observation_size)
    found, _ = legal.step(shown, legal.begin(50))
    assert (found[~shown.masks] == 0).all()


@pytest.mark.parametrize(("agent", "low", "high"), [("recurrent-ppo", 0.9, 1), ("ppo", 0.3, 0.65)])
def test_what_was_seen_at_the_start_is_known_at_the_end_with_a_memory_alone(agent, low, high):
    """Without a memory half of the episodes are lost, whatever is done."""
    this = Task(Recall())
    given = {"n_envs": 32, "n_steps": 12, "batch_size": 96, "learning_rate": 0.01, "net": [8]}
    given |= {"lstm_hidden_size": 8} if agent == "recurrent-ppo" else {}
    done = train(this, agent, seed=1, timesteps=7680, settings=given)
    assert low <= rollout(done.policy, this, 1000, seed=2).last("success").mean() <= high


def test_a_cohort_of_agents_that_are_trained_alone_is_refused_by_name():
    keys = {"worlds": [{"id": "star"}], "seeds": 1, "timesteps": 100, "cohort": 4, "name": "s"}
    for agent in FAMILIES:
        with pytest.raises(InvalidInput, match=rf"\({agent}\) is trained in cohorts") as refused:
            cells(make_study({**keys, "agents": [agent]}))
        assert refused.value.field == "cohort"


# --- settings that are refused -------------------------------------------------------------------

WRONG = [
    ("a2c", {"batch_size": 64}, "settings", "gae_lambda"),
    ("a2c", {"n_steps": 0}, "settings.n_steps", "Write n_steps: "),
    ("a2c", {"n_envs": 1, "n_steps": 1}, "settings.n_steps", "2 to"),
    ("trpo", {"clip_range": 0.1}, "settings", "target_kl"),
    ("trpo", {"target_kl": 0}, "settings.target_kl", "a number above 0"),
    ("trpo", {"cg_max_steps": 1.5}, "settings.cg_max_steps", "a whole number, 1 to 1,000"),
    ("trpo", {"n_critic_updates": True}, "settings.n_critic_updates", "a whole number"),
    ("trpo", {"batch_size": 1000}, "settings.batch_size", "a divisor"),
    ("recurrent-ppo", {"lstm_hidden_size": 0}, "settings.lstm_hidden_size", "1 to 4,096"),
    ("recurrent-ppo", {"n_lstm_layers": 9}, "settings.n_lstm_layers", "1 to 4"),
    ("ppo", {"lstm_hidden_size": 8}, "settings", "n_epochs"),
    ("ppo", {"max_grad_norm": None}, "settings.max_grad_norm", "Write max_grad_norm: 0.5"),
    ("dqn", {"n_steps": 4}, "settings", "n_step,"),
    ("dqn", {"n_quantiles": 4}, "settings", "n_step,"),
    ("dqn", {"n_step": 0}, "settings.n_step", "1 to 1,000,000"),
    ("dqn", {"buffer_size": 2.0}, "settings.buffer_size", "a whole number"),
    ("dqn", {"buffer_size": 10, "n_step": 5}, "settings.buffer_size", "Write buffer_size: 40"),
    ("dqn", {"target_update_interval": 7}, "settings.target_update_interval", "at least 8"),
    ("dqn", {"learning_starts": -1}, "settings.learning_starts", "0 to"),
    ("dqn", {"train_freq": "4"}, "settings.train_freq", "a whole number"),
    ("dqn", {"gradient_steps": -1}, "settings.gradient_steps", "1 to 10,000"),
    ("dqn", {"exploration_fraction": 0}, "settings.exploration_fraction", "above 0 and at most 1"),
    ("dqn", {"exploration_final_eps": 1.1}, "settings.exploration_final_eps", "at most 1"),
    ("dqn", {"activation": "gelu"}, "settings.activation", "tanh or relu"),
    ("qrdqn", {"n_quantiles": 0}, "settings.n_quantiles", "1 to 1,000"),
    ("qrdqn", {"exploration_final_eps": float("nan")}, "settings.exploration_final_eps", ">= 0"),
]


@pytest.mark.parametrize(("agent", "given", "field", "said"), WRONG, ids=str)
def test_a_wrong_setting_is_one_line_with_what_to_write(agent, given, field, said):
    # Eight environments, whatever the defaults are.
    given = {"n_envs": 8, **given} if "buffer_size" in FAMILIES[agent].defaults else given
    with pytest.raises(InvalidInput) as refused:
        check_agent(task(), agent, given)
    assert refused.value.field == field
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", ["a2c", "trpo", "dqn", "qrdqn", "recurrent-ppo"])
def test_a_saved_agent_of_other_sizes_is_refused_unread(agent, tmp_path, monkeypatch):
    from powerseek.agents.sb3 import models

    this = task()
    path = save_agent(trained(agent, this), this, tmp_path / "a")
    assert load_agent(path, this).agent == agent
    monkeypatch.setattr(models, "_FRAME", 0)  # as if nothing but weights were allowed

    def never(content, device):
        raise AssertionError("unpacked before its size was seen to fit")

    monkeypatch.setattr(models, "read_tensors", never)
    with pytest.raises(InvalidInput, match="its weights take"):
        load_agent(path, this)


@pytest.mark.parametrize("agent", ["dqn", "qrdqn", "recurrent-ppo"])
def test_a_saved_model_is_the_library_s_own(agent, tmp_path):
    this = task()
    # Of targets more than a step ahead the library warns, wrongly, when it reads its own file.
    done = trained(agent, this, **({"n_step": 1} if agent in VALUES else {}))
    model = FAMILIES[agent].algorithm_class().load(save_agent(done, this, tmp_path / "a"))
    ours, theirs = done.model.policy.state_dict(), model.policy.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_memory_costs_others_nothing():
    """A policy without a memory is asked as ever: by its probabilities, once a step."""
    asked = []

    class Plain:
        def probabilities(self, situation):
            asked.append(len(situation.masks))
            return situation.masks / situation.masks.sum(axis=1, keepdims=True)

    this = task(hazard=0.0, rungs=10)
    rollout(Plain(), this, 8, seed=1)
    assert asked == [8] * this.world.max_steps
