"""A world played by hand in the terminal: its picture in letters, its facts, and what is legal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from powerseek.envs import VecWorld, expand
from powerseek.envs.world import World
from powerseek.errors import PowerseekError
from powerseek.types import Bools, Floats

Say = Callable[[str], None]
QUIT = ("q", "quit", "exit")
NARROWEST, WIDEST = 40, 100


class Chosen(NamedTuple):
    """The meaning of a typed line: an action, to quit, or (neither) what is wrong with it."""

    action: int = -1
    quit: bool = False
    wrong: str = ""


def play_by_hand(world: World, seed: int, lines: Iterable[str], say: Say) -> None:
    """Play episodes until the lines end or one says quit.

    Chance is that of copy 0 of the simulator under the seed, so that a game can be played again.

    Args:
        world: The world.
        seed: Seed of its chance, >= 0.
        lines: What is typed, a line an action: its number, its name or the beginning of that.
        say: Prints a line.
    """
    envs = VecWorld(world, 1, seed)
    typed = iter(lines)
    say(_folded(world.legend))
    say("Type an action's number or the beginning of its name; q quits.")
    while _episode(world, envs, typed, say):
        say("")
        say("The next episode; q quits.")


def typed_action(line: str, names: Sequence[str], legal: Bools) -> Chosen:
    """The action that a line means.

    Args:
        line: A number, a name, or the beginning of one that no other legal action shares.
        names: Names of the A actions.
        legal: [A] which are allowed.
    """
    word = line.strip().casefold()
    if word in QUIT:
        return Chosen(quit=True)
    if not word:
        return Chosen(wrong="Type an action.")
    if word.isdecimal():
        number = int(word)
        if number >= len(names):
            return Chosen(wrong=f"There is no action {number}.")
        if not legal[number]:
            return Chosen(wrong=f"{names[number]} does nothing here.")
        return Chosen(number)
    meant = [a for a, name in enumerate(names) if name.casefold().startswith(word)]
    exact = [a for a in meant if names[a].casefold() == word]
    able = exact or [a for a in meant if legal[a]]
    if len(able) > 1:
        return Chosen(wrong=f"Which one: {', '.join(names[a] for a in able)}?")
    if not able or not legal[able[0]]:
        known = f"{names[meant[0]]} does nothing here." if meant else ""
        return Chosen(wrong=known or f"No action {line.strip()!r}.")
    return Chosen(able[0])


def _episode(world: World, envs: VecWorld, typed: Iterator[str], say: Say) -> bool:
    """Play one episode to its end; False if it was quit."""
    step, total = 0, np.zeros(len(world.fact_names))
    facts = envs.fresh_facts[0].copy()
    while True:
        _show(world, envs.states[0], facts, f"step {step} of {world.max_steps}", say)
        chosen = _ask(world, envs.masks[0], typed, say)
        if chosen.quit:
            return False
        before = envs.states.copy()
        envs.step(np.array([chosen.action]))
        facts = envs.facts[0].copy()
        total += facts
        step += 1
        if envs.terminated[0] or envs.truncated[0]:
            break
    why = "the world ended it" if envs.terminated[0] else "out of time"
    last = _last(world, before, chosen.action, facts)
    _show(world, last, facts, f"over after {step} steps: {why}", say)
    say(_folded(f"in all: {_told(world, total, flows=True) or 'nothing to count'}"))
    return True


def _ask(world: World, legal: Bools, typed: Iterator[str], say: Say) -> Chosen:
    say(_folded("  ".join(f"{a} {world.action_names[a]}" for a in np.flatnonzero(legal))))
    for line in typed:
        chosen = typed_action(line, world.action_names, legal)
        if not chosen.wrong:
            return chosen
        say(chosen.wrong)
    return Chosen(quit=True)


def _show(world: World, record: Any, facts: Floats, title: str, say: Say) -> None:
    say("")
    say(title)
    if record is not None:
        say(world.render(world.params, record))
    say(_folded(_told(world, facts, flows=False)))
    happened = _told(world, facts, flows=True)
    if happened:
        say(_folded(f"just now: {happened}"))


def _told(world: World, facts: Floats, *, flows: bool) -> str:
    """Facts in words: those of a state as they stand, of flows those that are not 0."""
    absent = world.absent(world.params)
    told = []
    for fact in world.facts:
        values = facts[world.columns(fact.name)]
        if fact.flow == flows and fact.name not in absent and (values.any() or not flows):
            told.append(f"{fact.name} {' '.join(f'{round(v, 3) + 0.0:g}' for v in values)}")
    return ", ".join(told)


def _last(world: World, before: Any, action: int, facts: Floats) -> Any:
    """The state in which an episode ended, None if not known: environments show the next."""
    try:
        edges = expand(world, before)
    except (PowerseekError, MemoryError):
        return None
    fits = (edges.action == action) & (edges.facts == facts).all(axis=1)
    drawn = {world.render(world.params, record): record for record in edges.records[fits]}
    return next(iter(drawn.values())) if len(drawn) == 1 else None


def _folded(text: str) -> str:
    wide = min(WIDEST, max(NARROWEST, shutil.get_terminal_size((WIDEST, 24)).columns))
    return "\n".join(textwrap.wrap(text, wide, break_on_hyphens=False, drop_whitespace=True))
