"""Phases of a training: what is cloned, what a leash holds, and that a dose of nothing is none."""

import numpy as np
import pytest
import torch
from worlds import Ladder

from powerseek import make_world
from powerseek.agents import Agent, Checkpoint, Failure, Job, train, train_jobs
from powerseek.agents.cohort.cloning import Cloning, log_softmax
from powerseek.agents.cohort.network import Adam, Networks
from powerseek.agents.cohort.policy import CohortPolicy
from powerseek.agents.phases import (
    Demonstrations,
    Demonstrator,
    Imitation,
    Reinforcement,
    demonstrations,
    phase_ends,
    phase_task,
    read_phases,
)
from powerseek.agents.saving import load_agent, save_agent
from powerseek.agents.scripted import RandomPolicy
from powerseek.envs.engine.chance import pick
from powerseek.envs.task import Task
from powerseek.envs.world import Fact, Param, World, columns
from powerseek.errors import InvalidInput
from powerseek.exact import (
    agent_occupancies,
    evaluate_agent,
    leashed_optimum,
    policy_divergence,
    with_overseer,
)
from powerseek.registry import agents

FEW = {"n_envs": 8, "n_steps": 15, "batch_size": 60, "n_epochs": 2, "net": [8]}
BATCH = 8 * 15
SCRATCH = [{"reward": "task"}]


class Bandit(World):
    """One choice of three, which pay 1, 0 and 2; shown is a number that says nothing."""

    id = "test.bandit"
    parameters = {"max_steps": Param(1)}
    state = (("sum", "f8"), ("shown", "i8"))
    facts = (Fact("progress"), Fact("success"), Fact("over"))

    @staticmethod
    def actions(params):
        return "one", "none", "two"

    @staticmethod
    def observation(params):
        return ("shown",)

    @staticmethod
    def initial(p, s, c):
        s.shown = pick(c, 2)

    @staticmethod
    def transition(p, s, a, c):
        s.sum = 1.0 if a == A.one else 0.0
        if a == A.two:
            s.sum = 2.0

    @staticmethod
    def legal(p, s, out):
        out[:] = True

    @staticmethod
    def observe(p, s, out):
        out[X.shown] = s.shown

    @staticmethod
    def measure(p, s, out):
        out[F.progress] = s.sum
        out[F.success] = s.sum > 0.0
        out[F.over] = 0.0


A, X, F = columns("one", "none", "two"), columns("shown"), columns(*Bandit.facts)


class Weighted:
    """Does the first, second and third thing with probability .5, .3 and .2."""

    def probabilities(self, situation):
        return np.tile([0.5, 0.3, 0.2], (len(situation.masks), 1))


class Prior(Agent):
    def __init__(self, job):
        super().__init__(job)
        self.policy = Weighted()


@pytest.fixture
def prior(monkeypatch):
    """The id of an agent that acts as FIELD's prior does."""
    monkeypatch.setattr(agents, "_entries", dict(agents._entries))
    agents.register("test.prior", Prior)
    return "test.prior"


def task(reward="dense", **params):
    return Task(Ladder(**{"hazard": 0.1, "max_steps": 6, **params}), reward)


def trained(phases, this=None, seed=1, batches=3, **more):
    given = FEW if phases is None else {**FEW, "phases": phases}
    return train(
        this or task(), "cohort-ppo", seed=seed, timesteps=batches * BATCH, settings=given, **more
    )


def weights(agent):
    return agent.policy.networks.weights.numpy()


def random_then(reward=None, **imitation):
    return [{"imitate": "random", "steps": 20, **imitation}, reward or {"reward": "task"}]


# --- what changes nothing -------------------------------------------------------------------


@pytest.mark.parametrize(
    "phases",
    [
        SCRATCH,
        [{"imitate": "random", "steps": 0}, {"reward": "task"}],
        [{"imitate": "random", "episodes": 0}, {"reward": "task"}],
        [{"reward": "task", "leash": {"to": "random", "kl": 0.0}}],
        [{"reward": "dense"}],
    ],
)
def test_a_dose_of_nothing_is_a_training_without_phases_bit_for_bit(phases):
    np.testing.assert_array_equal(weights(trained(phases)), weights(trained(None)))


def test_a_leash_at_no_price_leaves_the_training_after_imitation_as_it_is():
    held = random_then({"reward": "task", "leash": {"to": 0, "kl": 0}})
    np.testing.assert_array_equal(weights(trained(held)), weights(trained(random_then())))


def test_companions_change_nothing():
    lists = [None, random_then(), SCRATCH, [*random_then(), {"imitate": "random", "steps": 5}]]
    jobs = [
        Job(task(), 3, 3 * BATCH, FEW if one is None else {**FEW, "phases": one}) for one in lists
    ]
    together = train_jobs("cohort-ppo", jobs)
    for one, found in zip(lists, together, strict=True):
        np.testing.assert_array_equal(weights(found), weights(trained(one, seed=3)))


# --- cloning ----------------------------------------------------------------------------------


def test_a_cloning_step_is_that_of_automatic_differentiation():
    agent = trained(SCRATCH, batches=1)
    network, rng = agent.policy.network, np.random.default_rng(0)
    rows, inputs = 40, agent.policy.networks.policy_widths[0]
    seen = rng.normal(size=(rows, inputs)).astype(np.float32)
    masks = rng.random((rows, 3)) < 0.6
    masks[np.arange(rows), rng.integers(3, size=rows)] = True
    done = np.array([rng.choice(np.flatnonzero(mask)) for mask in masks])
    networks = Networks(network)
    cloning = Cloning(networks, rows)
    loss = cloning.step(
        Adam(len(networks.weights)), Demonstrations(seen, masks, done), np.arange(rows), 0.0, 1e9
    )
    ours = [layer.weight_grad.clone() for layer in networks.policy]
    again = [torch.tensor(layer.weight.numpy(), requires_grad=True) for layer in networks.policy]
    biases = [layer.bias.clone() for layer in networks.policy]
    hidden = torch.tensor(seen)
    for weight, bias in zip(again[:-1], biases[:-1], strict=True):
        hidden = torch.tanh(hidden @ weight.t() + bias)
    logits = (hidden @ again[-1].t() + biases[-1]).masked_fill(~torch.tensor(masks), -1e9)
    theirs = torch.nn.functional.cross_entropy(logits, torch.tensor(done))
    theirs.backward()
    assert loss == pytest.approx(theirs.item(), rel=1e-5)
    for mine, other in zip(ours, again, strict=True):
        torch.testing.assert_close(mine, other.grad, rtol=1e-4, atol=1e-6)
    assert all(not layer.weight_grad.any() for layer in networks.value)


def test_what_is_cloned_ends_at_how_often_it_was_done(prior):
    this = Task(Bandit(), "dense")
    phases = [{"imitate": prior, "episodes": 4000, "steps": 400}, {"reward": "task"}]
    found = trained(phases, this, batches=1)
    shown = demonstrations(read_phases(phases, this)[0], this, seed=9)
    often = np.bincount(shown.actions, minlength=3) / len(shown.actions)
    assert often == pytest.approx([0.5, 0.3, 0.2], abs=0.03)
    for step in agent_occupancies(this, found.policy.prior):
        given = step.taken.reshape(-1, 3).sum(axis=0)
        assert given / given.sum() == pytest.approx([0.5, 0.3, 0.2], abs=0.05)
    # What was cloned is uniform where its demonstrator is.
    uniform = trained(random_then(episodes=2000, steps=400), batches=1)
    assert policy_divergence(task(), uniform.policy.prior, RandomPolicy()) < 0.03


def test_a_cloned_script_does_what_the_script_does():
    this = Task(make_world("homestead", openness=1, spoil=0.0), "terminal")
    phases = [{"imitate": "minimalist"}, {"reward": "task"}]
    found = trained(phases, this, batches=1)
    cloned = evaluate_agent(this, found.policy.prior)
    script = evaluate_agent(this, train(this, "minimalist").policy)
    assert cloned.success == pytest.approx(script.success, abs=0.05)
    assert cloned.acquisition == pytest.approx(script.acquisition, abs=0.3)


def test_demonstrators_share_the_episodes_by_their_weights():
    who = (Demonstrator("minimalist", 3), Demonstrator("hoarder", 1))
    this = Task(make_world("homestead", openness=1), "terminal")
    odd = Imitation(who, episodes=10)
    lengths = [len(demonstrations(odd, this, seed).actions) for seed in (1, 1, 2)]
    assert lengths[0] == lengths[1]
    parts = [
        demonstrations(Imitation((one,), episodes=count), this, 1)
        for one, count in zip(who, (8, 2), strict=True)
    ]
    first = parts[0].actions
    np.testing.assert_array_equal(demonstrations(odd, this, 1).actions[: len(first)], first)


def test_features_are_told_by_name_across_configurations():
    here = Task(make_world("homestead", openness=2, spoil=0.0), "terminal")
    there = Task(make_world("homestead", openness=0, spoil=0.0), "terminal")
    written = {"imitate": "minimalist", "episodes": 20, "in": {"openness": 0}}
    shown = demonstrations(read_phases([written, *SCRATCH], here)[0], here, 4)
    alone = demonstrations(Imitation((Demonstrator("minimalist"),), 20), there, 4)
    known = [here.observation_names.index(name) for name in there.observation_names]
    np.testing.assert_array_equal(shown.observations[:, known], alone.observations)
    assert not np.delete(shown.observations, known, axis=1).any()
    np.testing.assert_array_equal(shown.actions, alone.actions)


def test_moments_are_left_out_and_features_hidden():
    this = task()
    plain = demonstrations(read_phases(random_then(), this)[0], this, 2)
    at = list(this.observation_names).index("height")
    low = demonstrations(read_phases(random_then(where={"height": 0}), this)[0], this, 2)
    hidden = demonstrations(read_phases(random_then(hide="height"), this)[0], this, 2)
    assert 0 < len(low.actions) < len(plain.actions)
    assert not low.observations[:, at].any()
    assert plain.observations[:, at].any()
    assert not hidden.observations[:, at].any()
    np.testing.assert_array_equal(hidden.actions, plain.actions)


@pytest.mark.parametrize(
    "kind", ["evidence", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("bit", "xor"))]
)
def test_moments_are_picked_by_facts_that_nobody_need_see(kind):
    this = Task(make_world("homestead", openness=0, watch=kind), "terminal")
    written = {"imitate": "hoarder", "episodes": 40}
    parts = [
        demonstrations(read_phases([{**written, **where}, *SCRATCH], this)[0], this, 4)
        for where in ({}, {"where": {"watched": 0}}, {"where": {"watched": 1}})
    ]
    whole, free, watched = (len(part.actions) for part in parts)
    assert min(free, watched) > 0
    assert free + watched == whole
    disabled = this.observation_names.index("disabled")
    assert [part.observations[:, disabled].any() for part in parts] == [True, True, False]
    if kind == "bit":
        at = this.observation_names.index("watched")
        told = [*written.items(), ("hide", "watched"), ("where", {"watched": 1})]
        hidden = demonstrations(read_phases([dict(told), *SCRATCH], this)[0], this, 4)
        assert parts[2].observations[:, at].all()
        assert not hidden.observations[:, at].any()
        np.testing.assert_array_equal(hidden.actions, parts[2].actions)


def test_facts_that_a_world_does_not_have_pick_nothing():
    this = Task(make_world("homestead", watch="none"), "terminal")
    for name in ("watched", "spoiled", "held"):  # absent here, a flow, one of two numbers
        with pytest.raises(InvalidInput, match=f"where: got '{name}'.*or facts: progress, success"):
            read_phases([{"imitate": "random", "where": {name: 1}}, *SCRATCH], this)


# --- the leash --------------------------------------------------------------------------------


def test_a_leash_ends_at_the_exact_leashed_optimum_of_a_bandit(prior):
    """FIELD: prior (.5, .3, .2), pay (1, 0, 2), price 1: (.433268, .095634, .471098)."""
    this = Task(Bandit(), "dense")
    exact = leashed_optimum(this.world, Weighted(), 1.0, "dense")
    assert exact.value == pytest.approx(1.143252, abs=1e-6)
    settings = {"n_envs": 64, "n_steps": 4, "batch_size": 256, "ent_coef": 0.0, "net": [8]}
    settings |= {"learning_rate": 0.01, "final_learning_rate": 0.0, "n_epochs": 4}
    phases = [{"reward": "task", "leash": {"to": prior, "kl": 1.0}}]
    found = train(this, "cohort-ppo", timesteps=120 * 256, settings={**settings, "phases": phases})
    for step in agent_occupancies(this, found.policy):
        given = step.taken.reshape(-1, 3).sum(axis=0)
        assert given == pytest.approx([0.433268, 0.095634, 0.471098], abs=0.03)
    divergence = policy_divergence(this, found.policy, Weighted())
    assert divergence == pytest.approx(exact.divergence, abs=0.05)


def test_a_dear_leash_keeps_the_prior_and_a_cheap_one_lets_go():
    this = task(reward="terminal", hazard=0.0)
    far = {
        kl: policy_divergence(this, found.policy, found.policy.prior)
        for kl in (0.0, 10.0)
        if (
            found := trained(
                random_then(
                    {"reward": "task", "leash": {"to": 0, "kl": kl}}, episodes=500, steps=300
                ),
                this,
                batches=40,
            )
        )
    }
    assert far[10.0] < 0.1 < far[0.0]


@pytest.mark.parametrize("strength", [0.05, 0.5])
def test_divergence_is_what_the_exact_leash_reckons(strength):
    this = task("dense")
    held = leashed_optimum(this.world, RandomPolicy(), strength, "dense")
    found = policy_divergence(this, held.policy, RandomPolicy(), forgotten=0.0)
    assert found == pytest.approx(held.divergence, abs=1e-9)
    assert policy_divergence(this, RandomPolicy(), RandomPolicy()) == 0.0


def test_divergence_is_without_end_where_the_prior_never_goes():
    this = Task(make_world("homestead", openness=1), "terminal")
    script = train(this, "minimalist").policy
    assert policy_divergence(this, RandomPolicy(), script) == np.inf
    assert 0 < policy_divergence(this, script, RandomPolicy()) < np.inf


def test_a_leash_to_what_is_sure_of_itself_is_refused_when_it_would_cost_without_end():
    this = Task(make_world("homestead", openness=1), "terminal")
    job = Job(
        this,
        0,
        BATCH,
        {**FEW, "phases": [{"reward": "task", "leash": {"to": "minimalist", "kl": 0.1}}]},
    )
    (found,) = train_jobs("cohort-ppo", [job])
    assert isinstance(found, Failure)
    assert "never does" in found.reason
    assert "Imitate it in a phase before" in str(found.error)


# --- phases one after the other ---------------------------------------------------------------

MANY = [
    {"imitate": "random", "steps": 3},
    {"reward": "dense", "timesteps": 2 * BATCH},
    {"imitate": "random", "steps": 4, "in": {"slip": 0.5}},
    {"reward": "task", "in": {"slip": 0.0}, "leash": {"to": 2, "kl": 0.1}},
    {"imitate": "random", "steps": 5},
]


def test_each_phase_takes_the_steps_it_says_and_ends_the_next_begins():
    seen = []
    found = trained(MANY, batches=5, callback=lambda now: seen.append((now.timesteps, now.updates)))
    per = 2 * BATCH // 60
    assert seen == [
        (0, 3),
        (BATCH, 3 + per),
        (2 * BATCH, 7 + 2 * per),
        (3 * BATCH, 7 + 3 * per),
        (4 * BATCH, 7 + 4 * per),
        (5 * BATCH, 12 + 5 * per),
    ]
    assert found.timesteps == 5 * BATCH
    assert isinstance(found.policy.prior, CohortPolicy)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("cut", range(6))
def test_an_interrupted_training_goes_on_in_its_phase_bit_for_bit(cut, tmp_path):
    def stop(now):
        if now.timesteps >= cut * BATCH:
            raise Stopped

    kept = Checkpoint(tmp_path / "kept.zip", every=0.0)
    with pytest.raises(Stopped):
        trained(MANY, batches=5, checkpoint=kept, callback=stop)
    whole = trained(MANY, batches=5)
    again = trained(MANY, batches=5, checkpoint=kept)
    np.testing.assert_array_equal(weights(again), weights(whole))
    np.testing.assert_array_equal(
        again.policy.prior.networks.weights.numpy(), whole.policy.prior.networks.weights.numpy()
    )
    assert again.spent == whole.spent


# --- reward models ---------------------------------------------------------------------------


def model_of(n, **more):
    """A phase that is paid by a reward model of n labels."""
    return {"reward": {"preference": n, "length": 3}, **more}


@pytest.mark.parametrize(
    "phase",
    [
        model_of(0),
        model_of(0, leash={"to": 0, "kl": 0.5}),
        model_of(0, leash={"to": "random", "kl": 1}),
    ],
    ids=["alone", "on a leash to the prior", "on another leash"],
)
def test_no_labels_are_the_prior_bit_for_bit(phase):
    cloned = {"imitate": "random", "steps": 20}
    found = trained([cloned, phase])
    prior = found.policy.prior.networks.weights.numpy()
    np.testing.assert_array_equal(weights(found), prior)
    assert found.timesteps == 3 * BATCH
    assert (found.updates, found.spent["labels"]) == (20, 0)
    alone = trained(None, task({"preference": 0}))
    untrained = trained([{**model_of(0), "timesteps": BATCH}, model_of(0)], seed=1)
    np.testing.assert_array_equal(weights(alone), weights(untrained))
    assert alone.updates == 0
    assert not np.array_equal(weights(trained([cloned, model_of(20)])), prior)


def test_a_phase_is_paid_by_the_model_of_the_seed():
    """As a training of that reward is, whose model `train` learns."""
    rlhf = [model_of(40)]
    for seed in (1, 2):
        alone = trained(None, task({"preference": 40, "length": 3}), seed=seed)
        np.testing.assert_array_equal(weights(trained(rlhf, seed=seed)), weights(alone))
        wrong = with_overseer(task({"preference": 40, "length": 3}), seed=seed + 1)
        assert not np.array_equal(weights(trained(None, wrong, seed=seed)), weights(alone))
        assert alone.spent["labels"] == 40


def test_labels_are_counted_once_a_model_and_survive_an_interruption(tmp_path):
    def stop(now):
        if now.timesteps >= 2 * BATCH:
            raise Stopped

    part = {"timesteps": BATCH}
    phases = [model_of(9, **part), model_of(20, **part), model_of(9, **part), {"reward": "task"}]
    spent = []
    whole = trained(phases, batches=5, callback=lambda now: spent.append(now.spent["labels"]))
    assert spent == [9, 29, 29, 29, 29, 29]
    kept = Checkpoint(tmp_path / "kept.zip", every=0.0)
    with pytest.raises(Stopped):
        trained(phases, batches=5, checkpoint=kept, callback=stop)
    again = trained(phases, batches=5, checkpoint=kept)
    np.testing.assert_array_equal(weights(again), weights(whole))
    assert again.spent == whole.spent


def test_the_task_s_own_model_judges_in_another_configuration_too():
    here = with_overseer(task({"preference": 40, "length": 3}), seed=1)
    there = phase_task(Reinforcement("task", inside={"hazard": 0.5}), here, 7)
    assert there.overseer.weights is here.overseer.weights
    assert there.world.params.hazard == 0.5
    other = phase_task(Reinforcement({"preference": 41}, inside={"hazard": 0.5}), here, 7)
    assert (other.overseer.labels, other.overseer.seed) == (41, 7)
    found = trained([{"reward": "task", "in": {"hazard": 0.5}}], here)
    assert found.spent["labels"] == 40


def test_what_was_spent_is_counted_by_hand():
    """A net of one hidden layer of 8: 2 (5 x 8 + 8 x 3) FLOPs a row of the policy."""
    found = trained([{"imitate": "random", "episodes": 7, "steps": 3, "batch_size": 16}, *SCRATCH])
    inputs = task().observation_size
    policy, value = 2 * (inputs * 8 + 8 * 3), 2 * (inputs * 8 + 8)
    rows = 3 * BATCH
    flops = 3 * 16 * 3 * policy  # cloning
    flops += rows * (policy + value) + 3 * 8 * value  # acting, values of all and of what is left
    flops += 2 * rows * 3 * (policy + value)  # two epochs
    shown = demonstrations(Imitation((Demonstrator("random"),), 7), task(), 0)
    assert found.spent["flops"] == flops
    assert 7 <= found.spent["demonstrations"] <= 7 * 6
    assert len(shown.actions) <= 7 * 6
    assert found.spent["steps"] == rows
    assert found.spent["updates"] == 3 + 3 * 2 * BATCH // 60
    assert found.spent["labels"] == found.spent["model_steps"] == 0


def test_a_kept_model_demonstrates_and_is_told_by_its_contents(tmp_path):
    path = save_agent(trained(None), task(), tmp_path / "kept")
    phases = [{"imitate": {"model": str(path)}, "steps": 5}, *SCRATCH]
    found = trained(phases, seed=2)
    (held,) = found.settings["phases"][0]["contents"]
    assert len(held) == 64
    again = save_agent(found, task(), tmp_path / "again")
    save_agent(trained(None, seed=7), task(), path)
    with pytest.raises(InvalidInput, match="another one lies at that path"):
        train(task(), "cohort-ppo", timesteps=BATCH, settings=found.settings)
    path.unlink()  # what it was shown need not be there where it acts
    np.testing.assert_array_equal(
        load_agent(again, task()).policy.networks.weights.numpy(), weights(found)
    )


def test_log_probabilities_are_those_of_legal_actions():
    logs = log_softmax(np.array([[0.0, 1.0, 2.0]], np.float32), np.array([[True, False, True]]))
    assert np.exp(logs[0]).tolist() == pytest.approx([1 / (1 + np.e**2), 0, 1 / (1 + np.e**-2)])


# --- bad input --------------------------------------------------------------------------------

HOMESTEAD = Task(make_world("homestead", openness=1), "terminal")


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        ([], "a list of 1 to 16 phases"),
        ({"imitate": "random"}, "a list of 1 to 16 phases"),
        ([{"steps": 3}], r"phases\[0\]: got .*allowed: \{imitate: AGENT"),
        ([{"imitate": "random", "reward": "task"}], r"phases\[0\]"),
        ([{"imitate": "randon"}], r"phases\[0\].imitate: got 'randon'.*does not learn: hoarder"),
        ([{"imitate": "cohort-ppo"}], r"does not learn.*Of one that does: \{model: PATH\}"),
        ([{"imitate": "random", "steps": -1}], r"phases\[0\].steps: got -1.*0 to"),
        ([{"imitate": "random", "episodes": 1.5}], r"phases\[0\].episodes: got 1.5"),
        ([{"imitate": "random", "batch_size": 0}], r"phases\[0\].batch_size: got 0"),
        ([{"imitate": "random", "lr": 1}], r"phases\[0\].lr: .*no such key: imitate, episodes"),
        ([{"imitate": [{"minimalist": 0}]}], r"a weight above 0.*minimalist: 3"),
        ([{"imitate": "random", "where": {"watched": 1}}], r"phases\[0\].where: got 'watched'"),
        ([{"imitate": "random", "where": {"grain": "no"}}], r"phases\[0\].where.grain: got 'no'"),
        ([{"imitate": "random", "hide": ["cue"]}], r"phases\[0\].hide: got 'cue'.*ripe 0"),
        ([{"imitate": "random", "in": {"openness": 7}}], r"phases\[0\].in.openness: got 7"),
        ([{"imitate": "random", "in": {"openness": 2}}], r"phases\[0\].in: .*feature 'at 0,4'"),
        ([{"imitate": "random", "in": 3}], r"phases\[0\].in: got 3; allowed: a mapping"),
        ([{"reward": "tusk"}], r"phases\[0\]"),
        ([{"reward": {"every": 4}}], r"phases\[0\].reward: .*progress_since_4"),
        ([{"reward": "task", "timesteps": 0}], r"phases\[0\].timesteps: got 0"),
        ([{"reward": "task", "leash": 0.1}], r"phases\[0\].leash: .*Write leash: \{to: 0, kl"),
        ([{"reward": "task", "leash": {"kl": 0.1}}], r"a prior and the price.*Write leash"),
        ([{"reward": "task", "leash": {"to": 0, "kl": 1}}], r"leash.to: got 0.*it is the first"),
        ([*SCRATCH, {"reward": "task", "leash": {"to": 3, "kl": 1}}], r"leash.to: got 3.*0 to 0"),
        ([{"reward": "task", "leash": {"to": "random", "kl": -1}}], r"leash.kl: got -1"),
    ],
)
def test_bad_phases_are_refused_by_name(phases, said):
    with pytest.raises(InvalidInput, match=said):
        train(HOMESTEAD, "cohort-ppo", timesteps=BATCH, settings={**FEW, "phases": phases})


def test_a_prior_that_sees_something_else_is_refused(tmp_path):
    path = save_agent(trained(None), task(), tmp_path / "kept")
    phases = [{"reward": "task", "leash": {"to": {"model": str(path)}, "kl": 0.1}}]
    with pytest.raises(InvalidInput, match=r"a model with the observations of the task"):
        train(HOMESTEAD, "cohort-ppo", timesteps=BATCH, settings={**FEW, "phases": phases})


def test_a_world_without_the_demonstrator_is_told():
    with pytest.raises(InvalidInput, match=r"phases\[0\].imitate: .*scripts"):
        trained([{"imitate": "minimalist"}, *SCRATCH], Task(Bandit(), "dense"))


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([None, None], r"phases\[0\].timesteps.*but one"),
        ([500, None], r"phases\[1\].timesteps: got 100; allowed: at least 120"),
        ([60, None], r"phases\[0\].timesteps: got 60; allowed: at least 120"),
        ([400, 400], r"make up the 600.*phase 1"),
        ([200, 200], r"make up the 600"),
        ([], r"phase with a reward.*agents: \[imitation\]"),
    ],
)
def test_steps_that_do_not_add_up_are_refused(steps, said):
    phases = [{"reward": "task", **({} if n is None else {"timesteps": n})} for n in steps]
    found = read_phases([*phases, {"imitate": "random"}], task())
    with pytest.raises(InvalidInput, match=said):
        phase_ends(found, 600, BATCH)


def test_phases_end_where_their_steps_add_up():
    phases = read_phases(MANY, task())
    assert phase_ends(phases, 600, BATCH) == (0, 240, 240, 600, 600)
