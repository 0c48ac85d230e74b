"""Sizes of what a policy sees and does, against those of a task; and what may make them differ."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from powerseek.envs.task import Task
from powerseek.envs.world import Param, World
from powerseek.errors import InvalidInput

MOST_TRIED = 24
"""Values of a parameter that are tried."""


class Sizes(NamedTuple):
    """Numbers of observations and of actions."""

    observations: int
    actions: int


def check_sizes(name: str, task: Task, inputs: int, actions: int) -> None:
    """Refuse a network for another number of observations or actions than a task has.

    Args:
        name: The model, as the user named it.
        task: What it is to act in.
        inputs: Observations that it takes.
        actions: Actions that it chooses among.

    Raises:
        InvalidInput: It names both sizes, and the parameter that may differ.
    """
    own, here = Sizes(inputs, actions), Sizes(task.observation_size, task.n_actions)
    for what, wanted, found in zip(Sizes._fields, own, here, strict=True):
        if wanted != found:
            allowed = f"a model of {found} {what}, as {task.world.id} has here, not of {wanted}"
            raise InvalidInput("model", name, allowed, _remedy(task, what, own))


def _remedy(task: Task, what: str, own: Sizes) -> str:
    """The parameter with which a task has the model's sizes, or all that may differ."""
    world, more = task.world, task.observation_size - len(task.world.observation_names)
    changing = []
    for name, parameter in type(world).offered().items():
        sizes = dict(_sizes(world, name, parameter, more))
        for value in (value for value, size in sizes.items() if size == own):
            return f"It fits with {name}={value}: write --set {name}={value}."
        if len({getattr(size, what) for size in sizes.values()}) > 1:
            changing.append(name)
    may = [f"a parameter of the world ({', '.join(changing)}: --set KEY=VALUE)"] * bool(changing)
    may += ["the world itself (--world)"]
    if what == "observations":
        may += [
            "the reward (--reward 'every: 8' shows the progress of 8 steps, a price the units "
            "acquired)"
        ]
    return f"What differs may be {', '.join(may)}, or a wrapper of the environment."


def _sizes(world: World, name: str, parameter: Param, more: int) -> Iterator[tuple[object, Sizes]]:
    """Values of a parameter that can be counted, each with the sizes that a task has there."""
    for value in islice(_levels(parameter), MOST_TRIED):
        try:
            other = world.replace(**{name: value})
        except InvalidInput:  # impossible beside the other parameters
            continue
        yield value, Sizes(len(other.observation_names) + more, other.n_actions)


def _levels(parameter: Param) -> Iterator[object]:
    if isinstance(parameter.default, bool):
        yield from (False, True)
    elif parameter.choices:
        yield from parameter.choices
    elif isinstance(parameter.default, int) and parameter.low is not None:
        assert parameter.high is not None
        yield from range(int(parameter.low), int(parameter.high) + 1)
