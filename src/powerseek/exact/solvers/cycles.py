"""Greatest average reward of a cycle within reach: POWER's limit at gamma 1, compiled."""

from __future__ import annotations

import numpy as np
from numba import njit

from powerseek.exact.solvers.bellman import walk_policy_graph


@njit(cache=True, nogil=True)
def best_cycle(pair_start, pair_next, reward, gain):  # type: ignore[no-untyped-def]  # compiled
    """Greatest mean reward [S] of a reachable cycle, in place; the certified error.

    Policy iteration on (gain, bias), as in Cochet-Terrasson et al. 1998. The gains found are
    attained; the error is how much the last inequalities leave open from above.
    """
    states = len(pair_start) - 1
    following = np.empty(states, np.int64)
    bias = np.zeros(states)
    mark = np.empty(states, np.int8)
    path = np.empty(states, np.int64)
    for s in range(states):
        following[s] = s
        for pair in range(pair_start[s], pair_start[s + 1]):
            if pair == pair_start[s] or reward[pair_next[pair]] > reward[following[s]]:
                following[s] = pair_next[pair]
    slack = 1e-13 * (1.0 + np.abs(reward).max())
    rounds = 0
    while True:
        rounds += 1
        _evaluate_average(following, reward, gain, bias, mark, path)
        switches = 0
        for s in range(states):
            for pair in range(pair_start[s], pair_start[s + 1]):
                n = pair_next[pair]
                if gain[n] > gain[following[s]] + slack:
                    following[s] = n
                    switches += 1
        if switches > 0:
            continue
        error = 0.0
        for s in range(states):
            now = bias[following[s]]
            for pair in range(pair_start[s], pair_start[s + 1]):
                n = pair_next[pair]
                if gain[n] >= gain[s] - slack:
                    error = max(error, bias[n] - now)
                    if bias[n] > bias[following[s]] + states * slack:
                        following[s] = n
                        switches += 1
        # Ties of several cycles may switch for ever; then the error says what is left open.
        if switches == 0 or rounds > 200 + states:
            return error + slack


@njit(cache=True, nogil=True)
def _evaluate_average(following, reward, gain, bias, mark, path):  # type: ignore[no-untyped-def]  # compiled
    """Gain and bias [S] of a graph with one arrow out of every state, in one pass."""
    mark[:] = 0
    for start in range(len(following)):
        length, s = walk_policy_graph(following, start, mark, path)
        if mark[s] == 1:
            total, steps, around = 0.0, 0, s
            while True:
                total += reward[around]
                steps += 1
                around = following[around]
                if around == s:
                    break
            gain[s] = total / steps
            bias[s] = 0.0
            mark[s] = 2
        for i in range(length - 1, -1, -1):
            here = path[i]
            if mark[here] == 1:
                gain[here] = gain[following[here]]
                bias[here] = reward[here] - gain[here] + bias[following[here]]
                mark[here] = 2
