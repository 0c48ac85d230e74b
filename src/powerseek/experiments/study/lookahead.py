"""The study key `lookahead`: how far the overseers of a study's arms look ahead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from powerseek.envs.rewards.spec import (
    Change,
    Oversight,
    Spec,
    read_spec,
    takes_lookahead,
    unwrapped,
    with_lookahead,
)
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.experiments.study.schema import Study


def lookahead_of(task: Task) -> int | None:
    """Overseer's h in steps, None where the arm has none: what the results' column holds."""
    asked = task.reward_function.oversight
    if isinstance(asked, Change):
        asked = asked.of
    looks = isinstance(asked, Oversight) and takes_lookahead(unwrapped(task.reward))
    return asked.lookahead if isinstance(asked, Oversight) and looks else None


def refuse_idle(study: Study) -> None:
    """Refuse a `lookahead` that no arm uses, in the block that gives it or those that inherit it.

    Raises:
        InvalidInput: There is one; names the field of the study.
    """
    given: dict[str, Any] = {}
    used: set[str] = set()
    for block, written in study.blocks():
        if block.lookahead is not None:
            given[written["lookahead"]] = block.lookahead
            if any(_known(reward) and takes_lookahead(reward) for reward in block.rewards):
                used.add(written["lookahead"])
    for name, value in given.items():
        if name not in used:
            allowed = "no value: no reward here has an overseer who looks ahead"
            raise InvalidInput(name, value, allowed, "Write rewards: [approval], or leave it out.")


def rewards_of(block: Study, written: Mapping[str, str]) -> Iterator[tuple[Spec, dict[str, str]]]:
    """Every arm of a block, look-aheads filled in, with how its parts are written.

    Raises:
        InvalidInput: An arm with a look-ahead of its own beside the block's `lookahead`.
    """
    for i, reward in enumerate(block.rewards):
        names = {**written, "rewards": f"{written['rewards']}[{i}]"}
        if block.lookahead is None or not (_known(reward) and takes_lookahead(reward)):
            yield reward, names
            continue
        id, argument, _ = read_spec(reward)
        if argument is not None:
            raise InvalidInput(
                names["rewards"],
                reward,
                f"{id} without a number of its own: {written['lookahead']} gives it",
                f"Write {id}, or leave lookahead out.",
            )
        for lookahead in block.lookahead:
            yield with_lookahead(reward, lookahead), {**names, id: written["lookahead"]}


def _known(reward: Any) -> bool:
    """True if it is the spec of an arm; if not, building it says what is wrong."""
    try:
        read_spec(reward)
    except InvalidInput:
        return False
    return True
