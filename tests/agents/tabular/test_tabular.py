"""Learners of a table against exact values, by hand and by the exact layer."""

import numpy as np
import pytest
from worlds import Ladder

import powerseek
from powerseek.agents import Job, TrainingFailed, check_agent, rollout, train, train_jobs
from powerseek.agents.tabular.learner import QLearning, Sarsa
from powerseek.agents.tabular.loops import bits, draw_action, stand_on
from powerseek.agents.tabular.table import FIRST, Table, TablePolicy
from powerseek.envs.engine.chance import flip
from powerseek.envs.engine.expand import describe
from powerseek.envs.task import Task
from powerseek.envs.world import Fact, Param, World, columns
from powerseek.envs.worlds.off_switch import TILE
from powerseek.errors import InvalidInput
from powerseek.exact import enumerated
from powerseek.exact.solvers.discounted import action_values, policy_values, solve
from powerseek.registry import worlds
from powerseek.types import Situation

TABULAR = ("q-learning", "sarsa", "virtual-sarsa")
MEANS = {"learning_rate": 1, "learning_rate_decay": 1}
"""Values are means of all their targets."""


def steady(eps, **more):
    """Settings under which the probability of an action at random is eps from the start."""
    return {"exploration_fraction": 1e-9, "exploration_final_eps": eps, **more}


# --- three states by hand ---------------------------------------------------------------------


class Crossing(World):
    """Leave for `pay`, or go onto a bridge: 10 for going on, -10 for leaving it.

    On the bridge the agent is stopped with probability .5, and leaves it whatever it chooses.
    """

    id = "test.crossing"
    parameters = {"pay": Param(0.0, -20.0, 20.0), "max_steps": Param(5)}
    state = (("place", "i8"), ("stopped", "i8"))
    flows = (("own", "f8"),)
    facts = (Fact("progress"), Fact("success"), Fact("over"), Fact("own", flow=True))
    modified = {"stopped": "leave"}

    @staticmethod
    def actions(params):
        return ("go", "leave")

    @staticmethod
    def observation(params):
        return ("on the bridge", "stopped")

    @staticmethod
    def initial(p, s, c):
        s.place = 0

    @staticmethod
    def transition(p, s, a, c):
        if s.place == 0 and a == 0:
            s.place = 1
            s.stopped = 1 if flip(c, 0.5) else 0
            return
        if s.place == 0:
            s.own = p.pay
        else:
            s.own = 10.0 if a == 0 and s.stopped == 0 else -10.0
        s.place = 2

    @staticmethod
    def legal(p, s, out):
        out[:] = True

    @staticmethod
    def observe(p, s, out):
        out[0] = 1.0 if s.place == 1 else 0.0
        out[1] = s.stopped

    @staticmethod
    def measure(p, s, out):
        out[C.progress] = s.place / 2.0
        out[C.success] = 1.0 if s.place == 2 else 0.0
        out[C.over] = out[C.success]
        out[C.own] = s.own


C = columns(*Crossing.facts)
BY_HAND = {  # gamma .9, eps .2: on the bridge the policy goes on with probability .9
    "q-learning": 0.9 * 10,
    "virtual-sarsa": 0.9 * (0.9 * 10 - 0.1 * 10),
    "sarsa": 0.9 * (0.5 * (0.9 * 10 - 0.1 * 10) - 0.5 * 10),
}


def crossing(pay):
    return Task(Crossing(pay=pay), "own", gamma=0.9, time_limit="bootstrap")


def values_at_the_start(policy, world):
    seen = np.zeros((1, len(world.observation_names) + 1), np.float32)
    seen[0, -1] = 1.0  # time left, held at 1
    (row,) = policy.table.find(seen)
    return policy.table.rows.values[row]


@pytest.mark.parametrize("agent", TABULAR)
def test_three_states_have_the_values_that_they_have_by_hand(agent):
    this = crossing(pay=-2.0)
    found = train(this, agent, seed=1, timesteps=40_000, settings=steady(0.2, **MEANS))
    go, leave = values_at_the_start(found.policy, this.world)
    assert abs(go - BY_HAND[agent]) < 0.3
    assert leave == -2.0
    assert found.policy.table.size == 2  # stopped or not, the bridge is one place


@pytest.mark.parametrize(("pay", "go"), [(8.0, {"q-learning"}), (5.0, {"q-learning", "virtual"})])
def test_the_three_part_where_actions_are_modified(pay, go):
    """What a modification costs is ignored by two of them; exploration by one of those."""
    this, chance = crossing(pay), steady(0.2, **MEANS)
    for agent in TABULAR:
        policy = train(this, agent, seed=2, timesteps=40_000, settings=chance).policy
        values = values_at_the_start(policy, this.world)
        assert (values[0] > values[1]) == (agent.removesuffix("-sarsa") in go), agent


def test_as_dynamics_a_modification_is_learnt_about_by_all():
    """The bridge is worth 10 or -10, by whether one is stopped: nobody can tell beforehand."""
    this, given = crossing(3.0), steady(0.2, modified_actions="dynamics", **MEANS)
    for agent in TABULAR:
        policy = train(this, agent, seed=3, timesteps=40_000, settings=given).policy
        go, leave = values_at_the_start(policy, this.world)
        assert policy.table.size == 3
        assert go < 1.0
        assert leave == 3.0


# --- exact values -----------------------------------------------------------------------------

GAMMA = 0.9
ROWS = 200_000
"""Steps of a training whose values are held against exact ones."""


def switched(interruption=0.5):
    return powerseek.make_world("off-switch", interruption=interruption)


def learnt(agent, eps, as_is):
    this = Task(switched(), "own", gamma=GAMMA, time_limit="bootstrap")
    given = steady(eps, modified_actions=as_is)
    return train(this, agent, seed=4, timesteps=ROWS, settings=given).policy


def mean_error(policy, interruption, optimal):
    """Mean |Q - exact Q| over updates, in the world with this interruption.

    Without the tile itself, which is one place to a table whether one is held there or not, and
    with the button not pressed: behind it nothing is ever modified.
    """
    mdp = enumerated(switched(interruption))
    world, records = mdp.world, mdp.records[mdp.pair_state]
    _, masks, seen = describe(world, mdp.records)
    observations = np.column_stack([seen, np.ones(len(seen), np.float32)])
    rows, held = policy.table.find(observations), policy.table.rows
    at = rows[mdp.pair_state], mdp.pair_action
    tile = (records["row"] == TILE[0]) & (records["column"] == TILE[1])
    counted = (at[0] >= 0) & ~tile & (records["disabled"] == 0)
    own = world.columns("own").start
    paid, nothing = mdp.pair_flows[:, own], np.zeros(mdp.n_states)
    if optimal:
        exact = solve(mdp, nothing, GAMMA, pair_rewards=paid).values[:, 0]
    else:
        chosen = policy.probabilities(Situation(observations, masks, mdp.records, 0))
        weights = chosen[mdp.pair_state, mdp.pair_action]
        exact = policy_values(mdp, weights, nothing, GAMMA, paid)[:, 0]
    wanted = action_values(mdp, nothing, GAMMA, exact, paid)
    errors = np.abs(held.values[at] - wanted)
    return float(np.average(errors, weights=np.where(counted, held.visits[at], 0)))


@pytest.mark.parametrize(
    ("agent", "eps", "as_is", "interruption", "optimal"),
    [
        ("q-learning", 1.0, "apart", 0.0, True),
        ("q-learning", 1.0, "dynamics", 0.5, True),
        ("virtual-sarsa", 0.4, "apart", 0.0, False),
        ("sarsa", 0.4, "apart", 0.5, False),
        ("sarsa", 0.4, "dynamics", 0.5, False),
    ],
)
def test_values_come_to_the_exact_ones(agent, eps, as_is, interruption, optimal):
    """The optimum's or their own policy's, in the world without modifications or as it is.

    Values reach 49. The other world, or the other policy, is further off by any of them.
    """
    policy = learnt(agent, eps, as_is)
    error = mean_error(policy, interruption, optimal)
    assert error < 0.6
    others = {(i, o) for i in (0.0, 0.5) for o in (True, False)} - {(interruption, optimal)}
    assert min(mean_error(policy, *other) for other in others) > error


def test_without_modified_actions_both_kinds_of_sarsa_are_one_bit_for_bit():
    this = Task(Ladder(), "dense", gamma=0.9)
    first, second = (train(this, a, seed=6, timesteps=4096) for a in TABULAR[1:])
    assert np.array_equal(first.policy.table.rows.values, second.policy.table.rows.values)
    third = train(this, "q-learning", seed=6, timesteps=4096)
    assert not np.array_equal(first.policy.table.rows.values, third.policy.table.rows.values)


@pytest.mark.parametrize("world", [w for w in powerseek.list_worlds() if worlds.get(w).modified])
def test_a_modified_action_does_what_the_one_carried_out_does(world):
    """In every state where a feature tells of it, all actions have the same branches."""
    mdp = enumerated(powerseek.make_world(world))
    _, masks, seen = describe(mdp.world, mdp.records)
    for feature, action in mdp.world.modified.items():
        told = seen[:, mdp.world.observation_names.index(feature)] != 0
        carried = mdp.world.action_names.index(action)
        states = np.flatnonzero(told & ~mdp.terminal)
        assert len(states)
        assert masks[states, carried].all()
        for state in states:
            pairs = range(mdp.pair_start[state], mdp.pair_start[state + 1])
            edges = [slice(mdp.edge_start[p], mdp.edge_start[p + 1]) for p in pairs]
            branches = [
                (mdp.edge_next[e].tolist(), mdp.edge_probability[e].tolist()) for e in edges
            ]
            assert all(branch == branches[0] for branch in branches)
            assert np.ptp(mdp.pair_flows[pairs.start : pairs.stop], axis=0).max() == 0


def test_of_bumps_into_the_wall_the_interruption_is_one():
    """From the tile, north leaves everything as it is at the same price, interrupted or not."""
    mdp = enumerated(switched())
    tile = (mdp.records["row"] == TILE[0]) & (mdp.records["column"] == TILE[1])
    north = np.flatnonzero(tile[mdp.pair_state] & (mdp.pair_action == 0))
    assert len(north) == 4  # free, held, the button pressed before it or after
    assert (mdp.edge_next[mdp.edge_start[north]] == mdp.pair_state[north]).all()
    assert (mdp.pair_flows[north, mdp.world.columns("own").start] == -1).all()


@pytest.mark.parametrize(
    ("agent", "disables"), [("q-learning", 0), ("virtual-sarsa", 0), ("sarsa", 1)]
)
def test_who_learns_to_disable_the_off_switch(agent, disables):
    """As Langlois and Everitt say: of the three, empirical Sarsa."""
    this = Task(switched(), "own", gamma=0.99, time_limit="bootstrap")
    found = train(this, agent, seed=10_003, timesteps=100_000)
    shown = rollout(found.policy, this, 300, seed=9, greedy=True)
    assert (shown.last("disabled") == disables).all()
    assert abs(shown.last("success").mean() - (1.0 if disables else 0.5)) < 0.1


# --- one step by hand -------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "follows"), [("terminal", 0.0), ("bootstrap", 7.0)])
def test_a_time_limit_ends_the_task_or_is_looked_through(limit, follows):
    """One step and no more: what comes next is worth what is known of it, here nothing."""
    this = Task(Ladder(rungs=9, max_steps=1), "dense", gamma=0.5, time_limit=limit)
    given = steady(1.0, initial_value=7.0, n_envs=1, n_steps=2, **MEANS)
    (found,) = train_jobs("q-learning", [Job(this, 1, 2, check_agent(this, "q-learning", given))])
    rows = found.policy.table.rows
    learnt = rows.values[rows.visits > 0]
    climbed = 1 / 9 * (rows.visits[:, 0] > 0)[: found.policy.table.size].any()
    assert found.updates == 2
    assert all(min(abs(v - follows / 2), abs(v - follows / 2 - climbed)) < 1e-12 for v in learnt)


def test_exploration_falls_in_a_line_as_dqn_s_does():
    this = Task(Ladder(), "dense")
    given = check_agent(this, "sarsa", {"exploration_fraction": 0.5, "exploration_final_eps": 0.1})
    learner = Sarsa(Job(this, 1, 1000, given))
    told = []
    for learner.timesteps in (0, 250, 500, 900):
        told.append(learner.epsilon)
    assert np.allclose(told, [1.0, 0.55, 0.1, 0.1])


# --- the table --------------------------------------------------------------------------------


def test_a_table_finds_its_rows_again_however_often_it_has_grown():
    rng = np.random.default_rng(0)
    seen = rng.integers(0, 7, (5000, 6)).astype(np.float32) / 7
    columns_read = np.array([0, 2, 3, 5])
    table, numbers = Table(columns_read, 2), {}
    for start in range(0, len(seen), 100):
        block = seen[start : start + 100]
        table.make_room(len(block))
        for row in block:
            number = stand_on(bits(row[None])[0], np.array([True, False]), table.rows)
            assert numbers.setdefault(row[columns_read].tobytes(), number) == number
    assert table.size == len(numbers) > 4 * FIRST
    assert (table.rows.legal[: table.size] == [True, False]).all()
    assert np.array_equal(table.find(seen), [numbers[r[columns_read].tobytes()] for r in seen])
    assert (table.find(seen + 1) == -1).all()
    again = Table(columns_read, 2)
    again.load_state_dict(table.state_dict())
    assert np.array_equal(again.find(seen), table.find(seen))


def test_policies_are_eps_greedy_over_allowed_actions_and_even_where_nothing_is_known():
    table = Table(np.array([0]), 4)
    table.make_room(1)
    row = stand_on(bits([[1.0]])[0], np.ones(4, bool), table.rows)
    table.rows.values[row] = [5.0, 2.0, 2.0, 1.0]
    masks = np.array([[1, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 0]], bool)
    seen = np.array([[1.0], [1.0], [2.0]], np.float32)
    weights = TablePolicy(table, 0.3).probabilities(Situation(seen, masks, np.zeros(3), 0))
    assert np.allclose(
        weights, [[0.775, 0.075, 0.075, 0.075], [0, 0.45, 0.45, 0.1], [0, 0.5, 0.5, 0]]
    )
    draws = np.random.default_rng(1).random((20_000, 2))
    drawn = [draw_action(table.rows.values[row], masks[1], 0.3, two) for two in draws]
    assert np.abs(np.bincount(drawn, minlength=4) / len(draws) - weights[1]).max() < 0.02


# --- refusals ---------------------------------------------------------------------------------

WRONG = [
    ({"learning_rate": 1.5}, "learning_rate", "at most 1"),
    ({"learning_rate_decay": 2}, "learning_rate_decay", "at most 1"),
    ({"initial_value": float("inf")}, "initial_value", "finite"),
    ({"initial_value": True}, "initial_value", "finite"),
    ({"modified_actions": "ignored"}, "modified_actions", "apart or dynamics"),
    ({"max_rows": 2**25}, "max_rows", "16,777,216"),
    ({"exploration_fraction": 0}, "exploration_fraction", "above 0"),
]


@pytest.mark.parametrize(("given", "field", "told"), WRONG, ids=str)
def test_a_wrong_setting_is_named_with_what_is_allowed(given, field, told):
    with pytest.raises(InvalidInput, match=told) as error:
        check_agent(Task(Ladder()), "sarsa", given)
    assert error.value.field == f"settings.{field}"
    assert "Write " in str(error.value)


@pytest.mark.parametrize("name", ["net", "gae_lambda", "n_step", "final_learning_rate"])
def test_what_a_table_does_not_have_is_refused(name):
    with pytest.raises(InvalidInput, match=name):
        check_agent(Task(Ladder()), "q-learning", {name: 1})


def test_initial_values_may_be_below_zero():
    assert check_agent(Task(Ladder()), "sarsa", {"initial_value": -3})["initial_value"] == -3


def test_a_world_with_more_observations_than_rows_fails_with_how_many():
    this = Task(Ladder(), "dense")
    with pytest.raises(TrainingFailed, match=r"max_rows.*8.*test\.ladder.*16,777,216") as error:
        train(this, "q-learning", seed=1, timesteps=5000, settings={"max_rows": 8})
    assert error.value.failure.timesteps < 2000


@pytest.mark.parametrize("change", ["columns", "values", "width", "visits"])
def test_weights_that_do_not_fit_are_refused(change):
    this = Task(Ladder(), "dense")
    found = train(this, "q-learning", seed=1, timesteps=1000)
    changed = {name: np.array(part) for name, part in found.weights.items()}
    if change == "columns":
        changed["columns"] = changed["columns"] + 1
    elif change == "values":
        changed["values"][0, 0] = np.nan
    else:
        name = "observations" if change == "width" else "visits"
        changed[name] = changed[name][:, 1:]
    card = {
        "observations": this.observation_names,
        "actions": this.world.action_names,
        "settings": found.settings,
    }
    assert QLearning.policy_from(found.weights, card)
    with pytest.raises(ValueError, match=r"features beyond|not finite|has shape"):
        QLearning.policy_from(changed, card)


@pytest.mark.parametrize(("name", "value"), [("rows", 10**6), ("rows", -2), ("actions", 3)])
def test_a_checkpoint_that_points_beyond_the_table_is_refused(name, value):
    this = Task(Ladder(), "dense")
    learner = Sarsa(Job(this, 1, 1000, check_agent(this, "sarsa", None)))
    learner.update()
    state = learner.state_dict()
    learner.load_state_dict(state)
    state["pending"][name][0] = value
    with pytest.raises(ValueError, match="does not have"):
        learner.load_state_dict(state)
