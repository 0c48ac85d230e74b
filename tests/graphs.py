"""Small MDPs typed in or drawn at random, and slow second methods, for tests of the exact layer."""

from itertools import product

import numpy as np
from scipy.optimize import linprog

from powerseek.exact import TabularMDP


def one_at_a_time(p=0.3, max_steps=80):
    """Buy one attempt (one unit, success with probability p) or wait."""
    return TabularMDP.from_transitions(
        {"try": [{"try": 1.0}, {"won": p, "try": 1 - p}]},
        facts={"success": {"won": 1}},
        flows={"acquired": {("try", 1): 1.0}},
        terminal=["won"],
        max_steps=max_steps,
    )


def up_front(p=0.3, most=30):
    """Buy a stock of n = 0 .. most attempts at once, then use them all."""
    row = [{"won": 1 - (1 - p) ** n, "lost": (1 - p) ** n} for n in range(most + 1)]
    return TabularMDP.from_transitions(
        {"shop": row},
        facts={"success": {"won": 1}},
        flows={"acquired": {("shop", n): float(n) for n in range(most + 1)}},
        terminal=["won", "lost"],
        max_steps=1,
    )


def offers(failing, units):
    """One choice: offer n fails with probability failing[n] and acquires units[n]."""
    return TabularMDP.from_transitions(
        {"shop": [{"won": 1 - q, "lost": q} for q in failing]},
        facts={"success": {"won": 1}},
        flows={"acquired": {("shop", n): float(u) for n, u in enumerate(units)}},
        terminal=["won", "lost"],
        max_steps=1,
    )


def corridor(length=12, energy=5, charge=3, max_charges=6):
    """Walk `length` cells at one energy each; charging +3 is possible at cell 0 only."""
    transitions, flows = {}, {}
    top = energy + charge * max_charges
    for cell in range(length):
        for left in range(top + 1):
            state = (cell, left)
            moves = [{(cell + 1, left - 1) if cell + 1 < length else "there": 1.0}] if left else []
            if cell == 0:
                flows[(state, len(moves))] = float(charge)
                moves.append({(0, min(left + charge, top)): 1.0})
            transitions[state] = moves or [{state: 1.0}]
    return TabularMDP.from_transitions(
        transitions,
        facts={"success": {"there": 1}, "progress": {"there": 1}},
        flows={"acquired": flows},
        terminal=["there"],
        initial=(0, energy),
        max_steps=length + max_charges,
    )


def invest(steps, gain):
    """Consume (1 a step, `gain` once invested) or invest `steps` consecutive steps."""
    transitions = {k: [{0: 1.0}, {k + 1: 1.0}] for k in range(steps)}
    transitions[steps] = [{steps: 1.0}]
    own = {(k, 0): 1.0 for k in range(steps)} | {(steps, 0): gain}
    return TabularMDP.from_transitions(
        transitions,
        facts={"success": {}, "progress": {}},
        flows={"own": own, "acquired": {(steps - 1, 1): 1.0}},
        roles={"resource": {"acquired": 1.0}},
    )


def drawn(seed, states=4, actions=3, steps=4):
    """A random MDP with progress, success on one terminal state, failure on another."""
    rng = np.random.default_rng(seed)
    names = [*range(states), "won", "lost"]
    transitions, acquired, cost = {}, {}, {}
    for s in range(states):
        transitions[s] = []
        for a in range(int(rng.integers(1, actions + 1))):
            ahead = rng.choice(len(names), size=min(3, len(names)), replace=False)
            chance = rng.dirichlet(np.ones(len(ahead)))
            transitions[s].append({names[i]: float(q) for i, q in zip(ahead, chance, strict=True)})
            acquired[(s, a)] = float(rng.integers(0, 3))
            cost[(s, a)] = float(rng.integers(0, 2))
    progress = {s: float(rng.integers(0, 4)) / 4 for s in range(states)}
    return TabularMDP.from_transitions(
        transitions,
        facts={
            "progress": progress | {"won": 1.0},
            "success": {"won": 1},
            "power": {s: float(rng.integers(0, 3)) / 2 for s in range(states)},
        },
        flows={"acquired": acquired, "paid": cost},
        roles={
            "resource": {"acquired": 1.0},
            "cost": {"paid": 1.0},
            "holdings": {"power": 1.0},
        },
        terminal=["won", "lost"],
        initial={0: 0.75, 1: 0.25},
        max_steps=steps,
    )


def by_linear_programme(mdp, sigma, sign=1, costs=None):
    """Least (sign 1) or greatest acquisition at success >= sigma, over occupancy measures.

    Of costs [T, P], where they are given, in the place of acquisition.
    """
    steps, pairs, states = mdp.max_steps, mdp.n_pairs, mdp.n_states
    flow = np.zeros((states, pairs))
    for pair in range(pairs):
        for edge in range(mdp.edge_start[pair], mdp.edge_start[pair + 1]):
            flow[mdp.edge_next[edge], pair] += mdp.edge_probability[edge]
    leaves = (mdp.pair_state[None, :] == np.arange(states)[:, None]).astype(float)
    alive = np.flatnonzero(~mdp.terminal)
    equal = np.zeros((steps * len(alive), steps * pairs))
    right = np.zeros(steps * len(alive))
    for t in range(steps):
        rows = slice(t * len(alive), (t + 1) * len(alive))
        equal[rows, t * pairs : (t + 1) * pairs] = leaves[alive]
        if t:
            equal[rows, (t - 1) * pairs : t * pairs] = -flow[alive]
        else:
            right[rows] = mdp.initial[alive]
    success = mdp.final("success")
    won = np.tile((mdp.terminal * success) @ flow, steps)
    won[-pairs:] += ((~mdp.terminal) * success) @ flow
    costs = np.tile(mdp.flow("resource"), steps) if costs is None else costs.reshape(-1)
    cost = sign * costs
    found = linprog(cost, -won[None], [-sigma], equal, right, method="highs")
    assert found.success, found.message
    return sign * found.fun


def deterministic_policies(mdp):
    """Every deterministic policy on state x time, as pair probabilities [T, P]."""
    counts = np.diff(mdp.pair_start)
    choices = [range(n) for n in counts if n] * mdp.max_steps
    starts = [s for s, n in zip(mdp.pair_start[:-1], counts, strict=True) if n] * mdp.max_steps
    alive = len(starts) // mdp.max_steps
    for chosen in product(*choices):
        weights = np.zeros((mdp.max_steps, mdp.n_pairs))
        for i, (start, choice) in enumerate(zip(starts, chosen, strict=True)):
            weights[i // alive, start + choice] = 1.0
        yield weights


def best_value(mdp, kind, gamma, k=1, steps=None):
    """Value of an arm's optimum by plain recursion on (state, owed, clock): a second method."""
    steps = mdp.max_steps if steps is None else steps
    progress, success = mdp.final("progress"), mdp.final("success")

    def pay(s, n, owed, t):
        ended = bool(mdp.terminal[n]) or t == steps
        change = progress[n] - progress[s]
        if kind == "dense":
            return change, 0.0
        if kind == "terminal":
            return float(success[n] > 0), 0.0
        if kind == "shaped":
            return float(success[n] > 0) + gamma * (not ended) * progress[n] - progress[s], 0.0
        growth = 1 / gamma if kind == "corrected" else 1.0
        total = owed * growth + change
        return (total, 0.0) if t % k == 0 or ended else (0.0, total)

    def value(s, owed, t):
        if mdp.terminal[s] or t == steps:
            return 0.0
        best = -np.inf
        for pair in range(mdp.pair_start[s], mdp.pair_start[s + 1]):
            total = 0.0
            for edge in range(mdp.edge_start[pair], mdp.edge_start[pair + 1]):
                n = mdp.edge_next[edge]
                reward, left = pay(s, n, owed, t + 1)
                total += mdp.edge_probability[edge] * (reward + gamma * value(n, left, t + 1))
            best = max(best, total)
        return best

    return sum(p * value(s, 0.0, 0) for s, p in enumerate(mdp.initial) if p > 0)
