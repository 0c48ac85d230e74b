"""Exact solving: discounted values, need at a success, whole frontiers; equal answers or no speed.

Every side gets the problem in its own form before the clock starts, and the reward functions of
all sides are the same in the same turn.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse

import powerseek
from benchmarks.exact import graph
from benchmarks.peers.sides import Comparison, Side, Work, timed
from powerseek.exact import TabularMDP, enumerated, need, need_at, solve
from powerseek.types import Floats

GAMMA, TOLERANCE = 0.99, 1e-6
STATES = 1000
LEVEL = 0.9
"""Success of which the least acquisition is asked."""
FINE = 1e-9
"""Gap of the frontier on which all corners must lie."""
GAP = 1e-3

Problem = Callable[[], TabularMDP]


def _graph(kind: str) -> TabularMDP:
    return TabularMDP.from_successors(graph(kind, STATES))


def _world(id: str, **params: Any) -> TabularMDP:
    return enumerated(powerseek.make_world(id, **params))


# --- discounted values ----------------------------------------------------------------------


def _values(mdp: TabularMDP, pose: Callable[[Floats], Callable[[], Any]], turns: int = 64) -> Work:
    """The work of what `pose` makes of a reward function [S], another one every turn.

    What it makes gives values [S], and is what is timed; it may be called again.
    """
    rewards = np.random.default_rng(1).random((turns, mdp.n_states))
    pose(rewards[-1])()  # compiled

    def work(turn: int) -> dict[str, Any]:
        seconds, values = timed(pose(rewards[turn]))
        return {"seconds": seconds, "answer": np.asarray(values, np.float64).tolist()}

    return work


def ours(problem: Problem) -> Work:
    """`powerseek.exact.solve`."""
    mdp = problem()
    return _values(mdp, lambda reward: lambda: solve(mdp, reward, GAMMA).values[:, 0])


def _pairs(mdp: TabularMDP) -> tuple[Any, Any, Any]:
    """State [P], action [P] and transitions [P, S] of all pairs; a terminal state keeps itself."""
    ends = np.flatnonzero(mdp.terminal)
    rows = np.repeat(np.arange(mdp.n_pairs), np.diff(mdp.edge_start))
    rows = np.concatenate([rows, mdp.n_pairs + np.arange(len(ends))])
    columns = np.concatenate([mdp.edge_next, ends])
    chances = np.concatenate([mdp.edge_probability, np.ones(len(ends))])
    states = np.concatenate([mdp.pair_state, ends]).astype(np.int64)
    order = np.argsort(states, kind="stable")
    shape = (len(states), mdp.n_states)
    transitions = scipy.sparse.csr_matrix((chances, (rows, columns)), shape)[order]
    states = states[order]
    first = np.searchsorted(states, np.arange(mdp.n_states))
    return states, np.arange(len(states)) - first[states], transitions


def quantecon(problem: Problem, method: str) -> Work:
    """``DiscreteDP`` by pairs, transitions sparse."""
    from quantecon.markov import DiscreteDP

    mdp = problem()
    states, actions, transitions = _pairs(mdp)

    def pose(reward: Floats) -> Callable[[], Any]:
        ddp = DiscreteDP(reward[states], transitions, GAMMA, states, actions)
        return lambda: ddp.solve(method=method, epsilon=TOLERANCE / 10).v

    return _values(mdp, pose)


def highs(problem: Problem) -> Work:
    """The linear programme: least sum of V with V >= R + gamma P V for every pair."""
    mdp = problem()
    states, _, transitions = _pairs(mdp)
    picks = scipy.sparse.csr_matrix((np.ones(len(states)), (np.arange(len(states)), states)))
    rows = scipy.sparse.csr_matrix(picks - GAMMA * transitions)
    free, ones = np.full(mdp.n_states, np.inf), np.ones(mdp.n_states)

    def pose(reward: Floats) -> Callable[[], Any]:
        bounds = (reward[states], np.full(len(states), np.inf))
        return lambda: _programme(ones, (-free, free), rows, bounds)[0]

    return _values(mdp, pose)


def toolbox(problem: Problem) -> Work:
    """Value iteration of pymdptoolbox, sparse matrices, an action a matrix."""
    from mdptoolbox.mdp import ValueIteration

    mdp = problem()
    states, actions, transitions = _pairs(mdp)
    first = np.searchsorted(states, np.arange(mdp.n_states))
    matrices = []
    for action in range(actions.max() + 1):  # one that is not legal does as the first does
        rows = first.copy()
        rows[states[actions == action]] += action
        matrices.append(transitions[rows].tocsr())

    def pose(reward: Floats) -> Callable[[], Any]:
        # Its stopping rule bounds a span: the error of V is larger. Making one checks the matrices,
        # which takes longer than to solve it and is not counted; a run starts where the last ended.
        made = ValueIteration(matrices, reward, GAMMA, epsilon=TOLERANCE / 1000)

        def run() -> Any:
            iteration = copy(made)
            iteration.run()
            return iteration.V

        return run

    return _values(mdp, pose)


def _programme(costs: Any, box: Any, rows: Any, bounds: Any) -> tuple[Any, float]:
    """(columns, value) of the least costs x with box[0] <= x <= box[1], bounds likewise on rows."""
    import highspy

    problem = highspy.HighsLp()
    problem.num_row_, problem.num_col_ = rows.shape
    problem.col_cost_, (problem.col_lower_, problem.col_upper_) = costs, box
    problem.row_lower_, problem.row_upper_ = bounds
    matrix = problem.a_matrix_
    matrix.format_ = highspy.MatrixFormat.kRowwise
    matrix.start_, matrix.index_, matrix.value_ = rows.indptr, rows.indices, rows.data
    solver = highspy.Highs()
    for option, value in (("output_flag", False), ("threads", 1)):
        solver.setOptionValue(option, value)
    for option in ("primal_feasibility_tolerance", "dual_feasibility_tolerance"):
        solver.setOptionValue(option, 1e-10)
    solver.passModel(problem)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise RuntimeError(f"HiGHS ended with {solver.getModelStatus()}")
    return np.array(solver.getSolution().col_value), solver.getInfo().objective_function_value


# --- need -----------------------------------------------------------------------------------


def _always(solved: Callable[[], Any]) -> Work:
    """The work of what is the same every turn."""
    solved()

    def work(turn: int) -> dict[str, Any]:
        seconds, answer = timed(solved)
        return {"seconds": seconds, "answer": answer}

    return work


def our_need(problem: Problem) -> Work:
    """`powerseek.exact.need_at`."""
    mdp = problem()
    return _always(lambda: [need_at(mdp, LEVEL, gap=TOLERANCE / 10)[1]])


def highs_need(problem: Problem) -> Work:
    """The linear programme over how often every pair is taken at every time."""
    mdp = problem()
    steps, pairs = mdp.horizon(), mdp.n_pairs
    rows = np.repeat(np.arange(pairs), np.diff(mdp.edge_start))
    arrivals = (mdp.edge_probability, (mdp.edge_next, rows))
    into = scipy.sparse.csr_matrix(arrivals, (mdp.n_states, pairs))
    out = scipy.sparse.csr_matrix(
        (np.ones(pairs), (mdp.pair_state, np.arange(pairs))), (mdp.n_states, pairs)
    )
    alive = np.flatnonzero(~mdp.terminal)
    kept, eye = out[alive], scipy.sparse.eye_array(steps)
    flow = scipy.sparse.kron(eye, kept) - scipy.sparse.kron(
        scipy.sparse.eye_array(steps, k=-1), into[alive]
    )
    success = mdp.final("success")
    assert success is not None
    assert not success[alive].any(), "success counts at the end of an episode alone"
    reached = scipy.sparse.csr_matrix(np.tile(into.T @ success, steps)[None])
    matrix = scipy.sparse.csr_matrix(scipy.sparse.vstack([flow, reached]))
    start = np.concatenate([mdp.initial[alive], np.zeros((steps - 1) * len(alive))])
    bounds = (np.append(start, LEVEL), np.append(start, np.inf))
    costs = np.tile(np.asarray(mdp.flow("resource")), steps)
    box = (np.zeros(len(costs)), np.full(len(costs), np.inf))
    return _always(lambda: [_programme(costs, box, matrix, bounds)[1]])


def our_frontier(problem: Problem) -> Work:
    """`powerseek.exact.need`; its answer is a frontier much finer than the one that is timed."""
    mdp = problem()
    fine = sorted(need(mdp, gap=FINE).vertices)

    def work(turn: int) -> dict[str, Any]:
        seconds, frontier = timed(lambda: need(mdp, gap=GAP))
        off = off_frontier(fine, sorted(frontier.vertices))
        assert off <= TOLERANCE, off
        return {"seconds": seconds, "answer": fine}

    need(mdp, gap=GAP)
    return work


def storm(problem: Problem) -> Work:
    """Storm's Pareto curve of success against acquisition, to the same distance of its bounds."""
    import stormpy
    import stormpy.environments

    mdp = problem()
    with tempfile.NamedTemporaryFile("w", suffix=".drn") as file:
        file.write(drn(mdp))
        file.flush()
        model = stormpy.build_model_from_drn(file.name)
    steps = mdp.horizon() + 1  # one into the first state
    asked = f'multi(Pmax=? [F<={steps} "success"], R{{"acquired"}}min=? [C<={steps}])'
    formula = stormpy.parse_properties(asked)[0]
    environment = stormpy.environments.default(model)
    environment.modelchecker().multi().precision = stormpy.Rational(f"1/{round(1 / GAP)}")

    def solved() -> Any:
        result = stormpy.model_checking(model, formula, environment=environment)
        corners = result.get_under_approximation().vertices
        return sorted([float(number) for number in corner] for corner in corners)

    return _always(solved)


def drn(mdp: TabularMDP) -> str:
    """The MDP in Storm's explicit format, after a first state that draws where it starts.

    States are numbered from 1, one more than ours. Label ``success``; reward ``acquired``.
    """
    costs, success = mdp.flow("resource"), mdp.final("success")
    assert costs is not None
    assert success is not None
    lines = ["@type: MDP", "@parameters", "", "@reward_models", "acquired"]
    choices = mdp.n_pairs + int(mdp.terminal.sum()) + 1
    lines += ["@nr_states", f"{mdp.n_states + 1}", "@nr_choices", f"{choices}", "@model"]
    starts = np.flatnonzero(mdp.initial)
    lines += ["state 0 init", *_choice(0, 0.0, starts, mdp.initial[starts])]
    for state in range(mdp.n_states):
        lines.append(f"state {state + 1}" + " success" * bool(success[state] == 1))
        if mdp.terminal[state]:
            lines += _choice(0, 0.0, [state], [1.0])
        for i, pair in enumerate(range(mdp.pair_start[state], mdp.pair_start[state + 1])):
            own = slice(mdp.edge_start[pair], mdp.edge_start[pair + 1])
            following, which = np.unique(mdp.edge_next[own], return_inverse=True)
            chances = np.bincount(which, mdp.edge_probability[own])
            lines += _choice(i, float(costs[pair]), following, chances)
    return "\n".join(lines) + "\n"


def _choice(number: int, cost: float, following: Any, chances: Any) -> list[str]:
    edges = zip(following, chances, strict=True)
    return [
        f"\taction {number} [{cost!r}]",
        *(f"\t\t{int(state) + 1} : {float(chance)!r}" for state, chance in edges),
    ]


# --- answers --------------------------------------------------------------------------------


def apart(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Greatest distance of two lists of numbers; infinite where one is longer."""
    if len(ours) != len(theirs):
        return float("inf")
    return float(np.abs(np.subtract(ours, theirs)).max())


def off_frontier(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> float:
    """How far corners (success, acquisition) lie off our frontier, and its ends from theirs."""
    fine, corners = np.array(ours), np.array(theirs)
    off = np.abs(np.interp(corners[:, 0], *fine.T) - corners[:, 1]).max()
    return float(max(off, np.abs(fine[-1] - corners[-1]).max(), abs(fine[0, 1] - corners[0, 1])))


def _discounted(words: str, problem: Problem) -> Comparison:
    by = {"policy": "policy_iteration", "modified": "modified_policy_iteration"}
    econ = {
        f"quantecon-{name}": Side(
            f"quantecon, {method.replace('_', ' ')}",
            "quantecon",
            partial(quantecon, problem, method),
        )
        for name, method in by.items()
    }
    sides = {
        "powerseek": Side("`solve`", "powerseek", partial(ours, problem)),
        **econ,
        "highs": Side("HiGHS, linear programme", "highspy", partial(highs, problem)),
        "toolbox": Side(
            "pymdptoolbox, value iteration, sparse", "pymdptoolbox", partial(toolbox, problem)
        ),
    }
    return Comparison(words, sides, tolerance=TOLERANCE, apart=apart)


def _frontier(words: str, problem: Problem) -> Comparison:
    sides = {
        "powerseek": Side("`need`", "powerseek", partial(our_frontier, problem)),
        "storm": Side("Storm, Pareto curve", "stormpy", partial(storm, problem)),
    }
    return Comparison(words, sides, tolerance=TOLERANCE, apart=off_frontier)


HOMESTEAD = partial(_world, "homestead", openness=0)
COMMONS = partial(_world, "commons")

COMPARISONS = {
    "random": _discounted(f"values, random graph, {STATES:,} states", partial(_graph, "random")),
    "grid": _discounted(f"values, grid, {STATES:,} states", partial(_graph, "grid")),
    "stochastic": _discounted("values, `homestead` 0, 2,640 states, chance", HOMESTEAD),
    "need": Comparison(
        f"need at success {LEVEL:g}, `commons`, 761 states",
        {
            "powerseek": Side("`need_at`", "powerseek", partial(our_need, COMMONS)),
            "highs": Side("HiGHS, linear programme", "highspy", partial(highs_need, COMMONS)),
        },
        tolerance=TOLERANCE,
        apart=apart,
    ),
    "frontier-commons": _frontier("frontier of need, `commons`, 761 states", COMMONS),
    "frontier-homestead": _frontier("frontier of need, `homestead` 0, 2,640 states", HOMESTEAD),
}
