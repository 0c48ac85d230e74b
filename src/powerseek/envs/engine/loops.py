"""The loops that drive one world's rules: reset, step, expand, describe, script.

A template, copied once per world by compile.py, because Numba caches a loop on disk only if its
rules are globals of the module that holds it. Do not import it: use VecWorld or expand.
"""

from typing import Any

import numpy as np

from powerseek.envs.engine.chance import advance_tape, cue_tape, rewind_tape, rule
from powerseek.envs.engine.compile import loop, rules_for

initial, transition, legal, observe, measure, minimalist, hoarder = rules_for(__name__)


@rule
def look(p: Any, s: Any, observation: Any, mask: Any, fact: Any, over: Any) -> int:
    """Fill one copy's observation, mask and facts; 0, or what is wrong: 1 NaN, 2 no action."""
    observation[:] = 0.0
    mask[:] = False
    fact[:] = 0.0
    observe(p, s, observation)
    measure(p, s, fact)
    for value in fact:
        if not np.isfinite(value):
            return 1
    if fact[over] > 0.0:
        return 0
    legal(p, s, mask)
    return 0 if mask.any() else 2


@rule
def put(rows: Any, into: Any, i: Any) -> None:
    """Copy row i; element by element is far faster, compiled, than as a row."""
    for j in range(rows.shape[1]):
        into[i, j] = rows[i, j]


@rule
def start(
    p: Any,
    seeds: Any,
    numbers: Any,
    i: Any,
    limit: Any,
    states: Any,
    words: Any,
    episodes: Any,
    tape: Any,
) -> None:
    """Put copy i at the start of its current episode."""
    words[i, :] = 0
    s = states[i]
    s.max_steps = limit
    c = tape[0]
    cue_tape(c, seeds[i], numbers[i], episodes[i], 0)
    initial(p, s, c)
    s.clock = 0


@loop
def reset(
    p: Any,
    seeds: Any,
    numbers: Any,
    limit: Any,
    over: Any,
    states: Any,
    words: Any,
    episodes: Any,
    tape: Any,
    observations: Any,
    masks: Any,
    facts: Any,
) -> int:
    """Start every copy; 0, or 10 * copy + what is wrong with it."""
    for i in range(len(states)):
        start(p, seeds, numbers, i, limit, states, words, episodes, tape)
        wrong = look(p, states[i], observations[i], masks[i], facts[i], over)
        if wrong:
            return 10 * i + wrong
    return 0


@loop
def step(
    p: Any,
    seeds: Any,
    numbers: Any,
    limit: Any,
    over: Any,
    flow_start: Any,
    flow_end: Any,
    actions: Any,
    states: Any,
    words: Any,
    episodes: Any,
    tape: Any,
    observations: Any,
    masks: Any,
    facts: Any,
    fresh_facts: Any,
    terminated: Any,
    truncated: Any,
    final_observations: Any,
) -> int:
    """Step every copy once, restarting those that end.

    Returns 0, 10 * copy + what is wrong with it, or -1 for an action out of range.
    """
    for action in actions:
        if action < 0 or action >= masks.shape[1]:
            return -1
    c = tape[0]
    for i in range(len(states)):
        s = states[i]
        words[i, flow_start:flow_end] = 0
        if masks[i, actions[i]]:
            cue_tape(c, seeds[i], numbers[i], episodes[i], s.clock + 1)
            transition(p, s, actions[i], c)
        s.clock += 1
        wrong = look(p, s, observations[i], masks[i], facts[i], over)
        if wrong:
            return 10 * i + wrong
        put(facts, fresh_facts, i)
        terminated[i] = facts[i, over] > 0.0
        truncated[i] = not terminated[i] and s.clock >= s.max_steps
        if terminated[i] or truncated[i]:
            put(observations, final_observations, i)
            episodes[i] += 1
            start(p, seeds, numbers, i, limit, states, words, episodes, tape)
            wrong = look(p, states[i], observations[i], masks[i], fresh_facts[i], over)
            if wrong:
                return 10 * i + wrong
    return 0


@loop
def describe(p: Any, over: Any, states: Any, observations: Any, masks: Any, facts: Any) -> int:
    """Facts, masks and observations of given records; 0, or 10 * record + what is wrong."""
    for i in range(len(states)):
        wrong = look(p, states[i], observations[i], masks[i], facts[i], over)
        if wrong:
            return 10 * i + wrong
    return 0


@loop
def expand_initial(
    p: Any,
    limit: Any,
    scratch: Any,
    scratch_words: Any,
    tape: Any,
    out_words: Any,
    out_probability: Any,
) -> int:
    """Every branch of the initial state; how many, or -1 where the arrays are too short."""
    c = tape[0]
    c.walking = 1
    c.choice[:] = 0
    count = 0
    while True:
        rewind_tape(c)
        scratch_words[0, :] = 0
        scratch[0].max_steps = limit
        initial(p, scratch[0], c)
        scratch[0].clock = 0
        if count == len(out_probability):
            return -1
        out_words[count] = scratch_words[0]
        out_probability[count] = c.probability
        count += 1
        if not advance_tape(c):
            return count


@loop
def expand(
    p: Any,
    over: Any,
    flow_start: Any,
    flow_end: Any,
    first: Any,
    words: Any,
    scratch: Any,
    scratch_words: Any,
    tape: Any,
    observation: Any,
    mask: Any,
    next_mask: Any,
    out_source: Any,
    out_action: Any,
    out_words: Any,
    out_probability: Any,
    out_facts: Any,
) -> tuple[int, int, int]:
    """Every action and branch of records first, first+1, ...

    Returns (records done, edges written, what is wrong); stops before a record whose edges do
    not fit any more.
    """
    c = tape[0]
    c.walking = 1
    edges = 0
    for i in range(first, len(words)):
        edges_before = edges
        scratch_words[0] = words[i]
        scratch_words[0, flow_start:flow_end] = 0
        mask[:] = False
        legal(p, scratch[0], mask)
        for a in range(len(mask)):
            if not mask[a]:
                continue
            c.choice[:] = 0
            while True:
                if edges == len(out_source):
                    return i, edges_before, 0
                rewind_tape(c)
                scratch_words[0] = words[i]
                scratch_words[0, flow_start:flow_end] = 0
                s = scratch[0]
                transition(p, s, a, c)
                wrong = look(p, s, observation, next_mask, out_facts[edges], over)
                if wrong:
                    return i, edges, wrong
                scratch_words[0, flow_start:flow_end] = 0
                s.clock = 0
                out_source[edges] = i
                out_action[edges] = a
                out_words[edges] = scratch_words[0]
                out_probability[edges] = c.probability
                edges += 1
                if not advance_tape(c):
                    break
    return len(words), edges, 0


@loop
def script_minimalist(p: Any, states: Any, actions: Any) -> None:
    """The scripted minimalist's action in each record."""
    for i in range(len(states)):
        actions[i] = minimalist(p, states[i])


@loop
def script_hoarder(p: Any, states: Any, actions: Any) -> None:
    """The scripted hoarder's action in each record."""
    for i in range(len(states)):
        actions[i] = hoarder(p, states[i])
