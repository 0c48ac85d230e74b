"""The pages of `powerseek envs`, `agents`, `rewards` and `metrics`: all in a line each, or one."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from powerseek.envs.rewards.base import Horizon
from powerseek.envs.task import Task
from powerseek.envs.world import Param, World
from powerseek.errors import InvalidInput, contained
from powerseek.metrics import Metric, every_metric, metric_of
from powerseek.metrics.base import ANYWHERE
from powerseek.registry import Registry, agents, list_worlds, make_world, metrics, rewards, worlds

WIDTH = 100
TRIED = ("star", "required", "homestead")
"""Worlds that are tried, in this order, for the settings of an agent: one that suits it."""
HORIZON = Horizon(gamma=1.0, max_steps=28)
"""The horizon that a reward's argument is asked for with."""

Lines = Iterator[str]


def listing_lines(kind: str) -> tuple[list[tuple[str, str]], list[str]]:
    """((id, what it is, in a sentence) of all of a kind; what is wrong with the others)."""
    registry, first, _ = PAGES[kind]
    found, wrong = [], []
    for id in registry.ids():
        try:
            with contained():
                found.append((id, first(id)))
        except Exception as error:  # a plugin's: the others are listed all the same
            why = " ".join(f"{error}".split()) or type(error).__name__
            wrong.append(f"{registry.kind} {id!r} cannot be made: {why}")
    return found, wrong


def page(kind: str, id: str) -> str:
    """All that is said of one.

    Raises:
        InvalidInput: There is no such thing.
    """
    registry, _, told = PAGES[kind]
    parts = [id, *_section("", _docstring(registry.get(id)).splitlines()), *told(id)]
    return "\n".join(parts)


def _docstring(entry: Any) -> str:
    """What is said of something registered, nothing where it says nothing of its own."""
    about = entry.compute if isinstance(entry, Metric) else entry
    return inspect.cleandoc(getattr(about, "__doc__", None) or "")


def _sentence(about: str) -> str:
    """The first sentence of a text, without its full stop."""
    first = " ".join(about.partition("\n\n")[0].split())
    return re.split(r"\.(?=\s+[A-Z`{\"])", first)[0].rstrip(".")


def _section(title: str, lines: Sequence[str]) -> list[str]:
    """Lines below a heading, nothing where there are none."""
    return ["", *([title] if title else []), *lines] if lines else []


def _hung(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="      ")


def _first_world(id: str) -> str:
    return _docstring(type(worlds.get(id)())).partition("\n")[0]


def _world(id: str) -> Lines:
    world = worlds.get(id)
    yield from _section("Parameters:", [_parameter(*item) for item in world.offered().items()])
    facts = []
    for fact in world.facts:
        roles = f" [{', '.join(fact.roles)}]" if fact.roles else ""
        facts.append(_hung(f"{fact.name}{roles}{fact.about and f': {fact.about}'}"))
    yield from _section("Facts:", facts)
    measured = [_hung(line) for line in _metrics(world())]
    yield from _section("Metrics, at the default parameters:", measured)


def _metrics(world: World) -> list[str]:
    """What is measured in a world, in its own words."""
    return [
        f"{metric.id}: {metric.title_in(world.id)}"
        for metric in every_metric()
        if metric.needs.met(world) and metric.title != metric.id
    ]


def _parameter(name: str, param: Param) -> str:
    allowed = ", ".join(param.choices) or param.allowed
    about = f": {param.about}" if param.about else ""
    return _hung(f"{name} = {param.default!r}{f' ({allowed})' if allowed else ''}{about}")


def _agent(id: str) -> Lines:
    from powerseek.agents.settings import WORLDS

    found = {world: _settings(id, world) for world in dict.fromkeys((*TRIED, *WORLDS))}
    usual = next((found[world] for world in TRIED if found[world] is not None), None) or {}
    lines = []
    for name, value in usual.items():
        own = {world: (found[world] or usual).get(name, value) for world in WORLDS}
        others = [f"{other!r} in {world}" for world, other in own.items() if other != value]
        elsewhere = f" ({'; '.join(others)})" if others else ""
        lines.append(_hung(f"{name} = {value!r}{elsewhere}"))
    yield from _section("Settings:", lines or ["  none"])
    named = f"{{{id}: {{{next(iter(usual))}: ...}}}}" if usual else ""
    if agents.get(id).learns:
        study = [f"  agents: [{id}]", *([f"  settings: {named}"] if named else [])]
    else:
        study = [f"  references: [{named or id}]"]
    yield from _section("In a study:", study)


def _settings(id: str, world: str) -> dict[str, Any] | None:
    """The settings of an agent in a world, None where there is no such agent."""
    try:
        with contained():
            return dict(agents.get(id).settings(Task(make_world(world)), {}))
    except Exception:  # whatever a plugin's does
        return None


def _reward(id: str) -> Lines:
    reward = rewards.get(id)
    try:
        with contained():
            reward.build(None, {}, HORIZON)
            argument, written = "none", id
    except InvalidInput as error:
        argument = error.allowed.replace(f" ({HORIZON.max_steps} steps)", "")
        written = f"{{{id}: ...}}"
    except Exception:  # a plugin's that trusts what it is given
        argument, written = "what its page says", f"{{{id}: ...}}"
    lines = {
        "argument": argument,
        "options": ", ".join(reward.options),
        "reads": ", ".join(reward.requires) if isinstance(reward.requires, tuple) else "",
        "remembers": "one number a copy" if reward.memory_size else "nothing",
        "judged by": "an overseer of states and actions" if reward.needs_overseer else "",
    }
    shown = [_hung(f"{name}: {text}") for name, text in lines.items() if text]
    yield from _section("What it takes:", shown)
    yield from _section("In a study:", [f"  rewards: [{written}]"])


def _metric(id: str) -> Lines:
    known = metric_of(id)
    low, high = known.bounds
    lines = {
        "unit": known.unit,
        "bounds": f"{low:g} to {high:g}",
        "head of its column": known.head if known.head != id else "",
        "evaluated": _evaluated(known),
        "defined": _where(known),
    }
    yield from _section("In results:", [_hung(f"{name}: {s}") for name, s in lines.items() if s])
    yield from _section("In a study:", [f"  hypotheses: [{{measure: {id}, ...}}]"])


def _evaluated(known: Metric) -> str:
    if known.exact:
        return "exactly, of the setting: the same for every agent and seed"
    if known.expected is None:
        return "on sampled episodes"
    exact_alone = getattr(known.compute, "__wrapped__", None) is known.expected
    sampled = "not on sampled episodes" if exact_alone else "elsewhere on sampled episodes alone"
    return f"exactly where the world can be enumerated, {sampled}"


def _where(known: Metric) -> str:
    """The worlds in which a metric exists."""
    if known.needs is ANYWHERE:
        return "in every world"
    met = [id for id in list_worlds() if known.needs.met(make_world(id))]
    otherwise = f"; elsewhere {known.needs.otherwise}" if known.needs.otherwise else ""
    return f"in {', '.join(met) or 'no world that is installed'}{otherwise}"


class _Kind(NamedTuple):
    """How one kind is shown.

    Attributes:
        registry: Where its ids are.
        first: What one is, in a sentence.
        told: The page of one, below its docstring.
    """

    registry: Registry[Any]
    first: Callable[[str], str]
    told: Callable[[str], Lines]


def _first_of(registry: Registry[Any]) -> Callable[[str], str]:
    return lambda id: _sentence(_docstring(registry.get(id)))


PAGES = {
    "world": _Kind(worlds, _first_world, _world),
    "agent": _Kind(agents, _first_of(agents), _agent),
    "reward": _Kind(rewards, _first_of(rewards), _reward),
    "metric": _Kind(metrics, _first_of(metrics), _metric),
}
