"""The pages of `powerseek envs`: every world in a line, or one world as its page."""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import Any

from powerseek.envs.world import World
from powerseek.registry import list_worlds, worlds

WIDTH = 100


def lines() -> tuple[list[tuple[str, str]], list[str]]:
    """((id, first line of the docstring) of every world; what is wrong with the others)."""
    found, wrong = [], []
    for name in list_worlds():
        try:
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
    parts += [_parameter(world, *item) for item in world().params._asdict().items()]
    parts += ["", "Facts:"]
    for fact in world.facts:
        roles = f" [{', '.join(fact.roles)}]" if fact.roles else ""
        about = f": {fact.about}" if fact.about else ""
        parts.append(_hung(f"{fact.name}{roles}{about}"))
    return "\n".join(parts)


def _parameter(world: type[World], name: str, default: Any) -> str:
    allowed = _range(world.ranges.get(name))
    about = _about(world).get(name, "")
    return _hung(f"{name} = {default!r}{allowed}{f': {about}' if about else ''}")


def _range(allowed: tuple[Any, ...] | None) -> str:
    if not allowed:
        return ""
    if isinstance(allowed[0], str):
        return f" ({', '.join(map(str, allowed))})"
    return f" ({allowed[0]} to {allowed[1]})"


def _about(world: type[World]) -> dict[str, str]:
    """Parameter -> what the docstring of Params says of it under ``Attributes:``."""
    _, _, told = inspect.cleandoc(world.Params.__doc__ or "").partition("Attributes:")
    found = re.findall(r"^    (\w+): (.*(?:\n {8,}.*)*)", told, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _hung(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="      ")
