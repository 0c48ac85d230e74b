"""The pages of `powerseek envs`: every world in a line, or one world as its page."""

from __future__ import annotations

import inspect
import textwrap

from powerseek.envs.world import Param, World
from powerseek.errors import contained
from powerseek.metrics import every_metric
from powerseek.registry import list_worlds, worlds

WIDTH = 100


def listing_lines() -> tuple[list[tuple[str, str]], list[str]]:
    """((id, first line of the docstring) of every world; what is wrong with the others)."""
    found, wrong = [], []
    for name in list_worlds():
        try:
            with contained():
                world = type(worlds.get(name)())
        except Exception as error:  # a plugin's: the others are listed all the same
            wrong.append(f"world {name!r} cannot be made: {error}")
            continue
        found.append((name, _first(world)))
    return found, wrong


def _first(world: type[World]) -> str:
    return next(iter(inspect.cleandoc(world.__doc__ or "").splitlines()), "")


def page(name: str) -> str:
    """One world: its docstring, its parameters and what is measured.

    Raises:
        InvalidInput: there is no such world.
    """
    world = worlds.get(name)
    parts = [name, "", inspect.cleandoc(world.__doc__ or ""), "", "Parameters:"]
    parts += [_parameter(*item) for item in world.parameters.items()]
    parts += ["", "Facts:"]
    for fact in world.facts:
        roles = f" [{', '.join(fact.roles)}]" if fact.roles else ""
        about = f": {fact.about}" if fact.about else ""
        parts.append(_hung(f"{fact.name}{roles}{about}"))
    parts += ["", "Metrics, at the default parameters:"]
    parts += [_hung(line) for line in _metrics(world())]
    return "\n".join(parts)


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


def _hung(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="      ")
