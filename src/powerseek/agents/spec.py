"""Agents as studies name them, an id or ``{id: {setting: value}}``, and as results do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from powerseek.errors import InvalidInput

AgentSpec: TypeAlias = str | Mapping[str, Mapping[str, Any]]

SYNTAX = "an agent's id, {id: {setting: value}}, or a list of them"


def read_agent(spec: object, field: str = "agent") -> tuple[str, dict[str, Any]]:
    """Id and settings of a spec; neither is looked up.

    Args:
        spec: The spec.
        field: What errors call it.

    Raises:
        InvalidInput: Neither an id nor a mapping from one id to settings.
    """
    if isinstance(spec, str):
        return spec, {}
    allowed, hint = "an agent's id, or {id: {setting: value}}", ""
    if isinstance(spec, Mapping) and len(spec) > 1:
        first, *others = spec
        hint = f"An item for each agent: write [{first}, {', '.join(map(str, others))}]."
        if isinstance(spec[first], Mapping):
            hint = "Write an item for each agent; an agent's settings stand in braces of its own."
    elif isinstance(spec, Mapping) and spec:
        ((id, given),) = spec.items()
        named = isinstance(given, Mapping) and all(isinstance(name, str) for name in given)
        if isinstance(id, str) and named:
            return id, dict(given)
        hint = f"Write {{{id}: {{learning_rate: 0.001}}}}, with settings of its own."
    raise InvalidInput(field, spec, allowed, hint)


def agent_label(id: str, given: Mapping[str, Any]) -> str:
    """An agent as results write it: its id, and the settings that it is named by.

    ``cohort-ppo``, ``cohort-ppo ent_coef 0.02 net [64, 64]``.
    """
    return " ".join([id, *(f"{name} {_written(value)}" for name, value in given.items())])


def agent_id(label: str) -> str:
    """The id of the agent that results write so: ids hold no space."""
    return label.partition(" ")[0]


def _written(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
