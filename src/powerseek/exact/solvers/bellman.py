"""Compiled solvers of one discounted problem; `discounted` beside it is their public face.

All take a graph in compressed rows, write values [S] in place and return a certified bound on
their absolute error. ``edge_probability`` is empty where every pair has one edge.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_ROUNDING = 2.0**-53
_SETTLING = 200
_ROUNDS = 100


@njit(cache=True, nogil=True)
def policy_iteration(  # type: ignore[no-untyped-def]  # compiled
    pair_start, pair_next, reward, pair_reward, gamma, tolerance, values
):
    """Policy iteration on a deterministic graph: values [S] in place; the certified error.

    A switch must gain more than rounding in one step can pretend. Rounding along a whole cycle
    may still let policies that tie take turns; then the tolerance ends it.
    """
    states = len(pair_start) - 1
    following = np.empty(states, np.int64)
    income = np.empty(states)
    mark = np.empty(states, np.int8)
    path = np.empty(states, np.int64)
    paid = len(pair_reward) > 0
    rounds = 0
    for s in range(states):
        following[s] = s
        income[s] = reward[s]
        best = -np.inf
        for pair in range(pair_start[s], pair_start[s + 1]):
            extra = pair_reward[pair] if paid else 0.0
            score = extra + gamma * values[pair_next[pair]]
            if score > best:
                best = score
                following[s] = pair_next[pair]
                income[s] = reward[s] + extra
    while True:
        _evaluate_graph(following, income, gamma, values, mark, path)
        largest = 0.0
        for s in range(states):
            largest = max(largest, abs(values[s]))
        slack = 4 * _ROUNDING * largest
        rounds += 1
        switches = 0
        residual = 0.0
        for s in range(states):
            now = income[s] - reward[s] + gamma * values[following[s]]
            best = now
            for pair in range(pair_start[s], pair_start[s + 1]):
                extra = pair_reward[pair] if paid else 0.0
                score = extra + gamma * values[pair_next[pair]]
                if score > best + slack:
                    best = score
                    following[s] = pair_next[pair]
                    income[s] = reward[s] + extra
            if best > now:
                switches += 1
            residual = max(residual, abs(reward[s] + best - values[s]))
        error = (residual + slack) / (1 - gamma)
        if switches == 0 or (rounds > _ROUNDS and (error <= tolerance or rounds > 100 * _ROUNDS)):
            return error


@njit(cache=True, nogil=True)
def walk_policy_graph(following, start, mark, path):  # type: ignore[no-untyped-def]  # compiled
    """Follow arrows to a state that has a mark; how many had none, in `path`, and that state."""
    length, s = 0, start
    while mark[s] == 0:
        mark[s] = 1
        path[length] = s
        length += 1
        s = following[s]
    return length, s


@njit(cache=True, nogil=True)
def _evaluate_graph(following, income, gamma, values, mark, path):  # type: ignore[no-untyped-def]  # compiled
    """Values [S] of a graph with one arrow out of every state, in one pass."""
    mark[:] = 0
    for start in range(len(following)):
        length, s = walk_policy_graph(following, start, mark, path)
        if mark[s] == 1:
            # The path runs into itself: s is on a cycle, whose value is a geometric series.
            total, weight, around = 0.0, 1.0, s
            while True:
                total += weight * income[around]
                weight *= gamma
                around = following[around]
                if around == s:
                    break
            values[s] = total / (1 - weight)
            mark[s] = 2
        for i in range(length - 1, -1, -1):
            here = path[i]
            if mark[here] == 1:
                values[here] = income[here] + gamma * values[following[here]]
                mark[here] = 2


@njit(cache=True, nogil=True)
def modified_policy_iteration(  # type: ignore[no-untyped-def]  # compiled
    pair_start,
    edge_start,
    edge_next,
    edge_probability,
    reward,
    pair_reward,
    gamma,
    tolerance,
    values,
):
    """Modified policy iteration: values [S] in place; the certified error."""
    states = len(pair_start) - 1
    choice = np.empty(states, np.int64)
    out = np.empty(states)
    paid = len(pair_reward) > 0
    widest = 1
    for pair in range(len(edge_start) - 1):
        widest = max(widest, edge_start[pair + 1] - edge_start[pair])
    while True:
        low, high, largest = np.inf, -np.inf, 0.0
        for s in range(states):
            best = -np.inf
            choice[s] = -1
            for pair in range(pair_start[s], pair_start[s + 1]):
                score = 0.0
                for edge in range(edge_start[pair], edge_start[pair + 1]):
                    score += edge_probability[edge] * values[edge_next[edge]]
                score *= gamma
                if paid:
                    score += pair_reward[pair]
                if score > best:
                    best = score
                    choice[s] = pair
            if choice[s] < 0:
                best = gamma * values[s]
            out[s] = reward[s] + best
            low = min(low, out[s] - values[s])
            high = max(high, out[s] - values[s])
            largest = max(largest, abs(out[s]))
        rounding = (4 + widest) * _ROUNDING * largest / (1 - gamma)
        error = gamma / (1 - gamma) * (high - low) / 2
        if error <= max(tolerance - rounding, rounding):
            centre = gamma / (1 - gamma) * (high + low) / 2
            values[:] = out + centre
            return error + rounding
        values[:] = out
        first = 0.0
        for sweep in range(_SETTLING):
            change = 0.0
            # Backwards: enumeration numbers states by distance, so most edges lead forwards.
            for s in range(states - 1, -1, -1):
                pair = choice[s]
                if pair < 0:
                    values[s] = reward[s] / (1 - gamma)
                    continue
                total = reward[s]
                if paid:
                    total += pair_reward[pair]
                stay = 0.0
                for edge in range(edge_start[pair], edge_start[pair + 1]):
                    if edge_next[edge] == s:
                        stay += edge_probability[edge]
                    else:
                        total += gamma * edge_probability[edge] * values[edge_next[edge]]
                total /= 1 - gamma * stay
                change = max(change, abs(total - values[s]))
                values[s] = total
            if sweep == 0:
                first = change
            if change <= 0.01 * first or change <= 0.1 * tolerance * (1 - gamma):
                break


@njit(cache=True, nogil=True)
def evaluate(  # type: ignore[no-untyped-def]  # compiled
    pair_start,
    edge_start,
    edge_next,
    edge_probability,
    weights,
    reward,
    pair_reward,
    gamma,
    tolerance,
    values,
):
    """Values [S] of a policy, in place, by MacQueen's bounds; the certified error."""
    states = len(pair_start) - 1
    sure = len(edge_probability) == 0
    paid = len(pair_reward) > 0
    out = np.empty(states)
    while True:
        for jacobi in range(2):
            # One sweep in place, which is fast, then one beside it, which gives the bounds.
            low, high, largest = np.inf, -np.inf, 0.0
            for i in range(states):
                s = states - 1 - i
                total = reward[s]
                stay = 0.0
                if pair_start[s] == pair_start[s + 1]:
                    total += gamma * values[s]
                for pair in range(pair_start[s], pair_start[s + 1]):
                    if weights[pair] == 0.0:
                        continue
                    if paid:
                        total += weights[pair] * pair_reward[pair]
                    for edge in range(edge_start[pair], edge_start[pair + 1]):
                        weight = weights[pair] * (1.0 if sure else edge_probability[edge])
                        if jacobi == 0 and edge_next[edge] == s:
                            stay += weight
                        else:
                            total += gamma * weight * values[edge_next[edge]]
                if jacobi == 0:
                    values[s] = total / (1 - gamma * stay)
                else:
                    out[s] = total
                    low = min(low, total - values[s])
                    high = max(high, total - values[s])
                    largest = max(largest, abs(total))
        rounding = 16 * _ROUNDING * largest / (1 - gamma)
        error = gamma / (1 - gamma) * (high - low) / 2
        if error <= max(tolerance - rounding, rounding):
            values[:] = out + gamma / (1 - gamma) * (high + low) / 2
            return error + rounding
        # Not shifted before: a sweep in place does not carry a shift along, and may diverge.
        values[:] = out


@njit(cache=True, nogil=True)
def average_next(  # type: ignore[no-untyped-def]  # compiled
    pair_start,
    edge_start,
    edge_next,
    edge_probability,
    rows,
    class_of,
    gamma,
    tolerance,
    mean,
    square,
):
    """Mean and square [S] of (1 - gamma) max_a E V*(s') over rows, in place; error of values."""
    states = len(pair_start) - 1
    reward, values, none = np.empty(states), np.empty(states), np.empty(0)
    sure = len(edge_probability) == 0
    error = 0.0
    for i in range(len(rows)):
        for s in range(states):
            reward[s] = rows[i, class_of[s]]
            values[s] = reward[s] / (1 - gamma)
        if sure:
            bound = policy_iteration(pair_start, edge_next, reward, none, gamma, tolerance, values)
        else:
            bound = modified_policy_iteration(
                *(pair_start, edge_start, edge_next, edge_probability),
                *(reward, none, gamma, tolerance, values),
            )
        error = max(error, bound)
        for s in range(states):
            best = values[s] if pair_start[s] == pair_start[s + 1] else -np.inf
            for pair in range(pair_start[s], pair_start[s + 1]):
                if sure:
                    ahead = values[edge_next[pair]]
                else:
                    ahead = 0.0
                    for edge in range(edge_start[pair], edge_start[pair + 1]):
                        ahead += edge_probability[edge] * values[edge_next[edge]]
                best = max(best, ahead)
            attained = (1 - gamma) * best
            off = attained - mean[s]
            mean[s] += off / (i + 1)
            square[s] += off * (attained - mean[s])
    return error
