"""Functions of observations as policies."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from powerseek.agents.foreign.illegal import RENORMALISE
from powerseek.agents.scripted import RandomPolicy
from powerseek.envs.task import Task, VecTask
from powerseek.errors import InvalidInput
from powerseek.types import Bools, Floats, Situation

TOLERANCE = 1e-4
"""Distance of a sum of probabilities from 1 that counts as rounding."""

DRAWS = "asked twice, it answers in two ways: it draws its actions itself, or remembers"

_PROBED = 24
"""Situations in which a function is tried before it is measured."""

LIKE = (
    "an action, or probabilities of all actions, of one observation [obs] (and mask [A]); or of n "
    "at once, [n] or [n, A]"
)


class FunctionPolicy:
    """A function as a policy.

    It is tried in a few situations first: whether it takes masks (a second parameter), whether it
    takes many situations at once, and whether it answers the same question in one way.

    Args:
        function: Of observations, or of observations and masks: of one situation (float32 [obs],
            bool [A]) or of n at once. It gives an action (an integer; then it takes that one), or
            probabilities of all actions.
        task: What it is to act in.
        name: What messages call it.

    Attributes:
        illegal: What its illegal choices become.
        inexact: Why it cannot be evaluated exactly; empty where it can.

    Raises:
        InvalidInput: It gives something else, or raises an error.
    """

    illegal = RENORMALISE

    def __init__(self, function: Callable[..., Any], task: Task, name: str) -> None:
        self.function, self.name = function, name
        self.masked = _takes_two(function)
        tried = situations(task)
        self.together = self._takes_many(tried)
        first, again = self.probabilities(tried), self.probabilities(tried)
        self.inexact = "" if np.allclose(first, again, atol=1e-6) else DRAWS

    def _takes_many(self, tried: Situation) -> bool:
        """True if the function takes n situations at once: as it answers them one by one."""
        try:
            together = self._answer(tried.observations, tried.masks)
        except Exception:  # a function of one situation does what it likes with many
            return False
        try:
            again = self._answer(tried.observations, tried.masks)
            alone = self._alone(tried.observations, tried.masks)
        except InvalidInput:  # one situation is none of its business
            return True
        # One that draws cannot be told by what it answers.
        return np.allclose(together, alone, atol=1e-4) or not np.allclose(together, again)

    def probabilities(self, situation: Situation) -> Floats:
        """[n, A]; a chosen action has 1."""
        seen, masks = situation.observations, situation.masks
        if not self.together:
            return self._alone(seen, masks)
        try:
            return self._answer(seen, masks)
        except InvalidInput:
            raise
        except Exception as error:
            raise self._refusal(error) from error

    def _alone(self, observations: Any, masks: Bools) -> Floats:
        """[n, A], one situation after another."""
        rows = []
        for seen, mask in zip(observations, masks, strict=True):
            try:
                rows.append(self._answer(seen, mask))
            except InvalidInput:
                raise
            except Exception as error:
                raise self._refusal(error) from error
        return np.array(rows)

    def _refusal(self, error: Exception) -> InvalidInput:
        words = " ".join(str(error).split())
        return InvalidInput("policy", self.name, LIKE, f"It raised {type(error).__name__}: {words}")

    def _answer(self, observations: Any, masks: Bools) -> Floats:
        """Probabilities [A] or [n, A], copies being handed over: whatever it writes is its own."""
        given = (observations.copy(), masks.copy())[: 1 + self.masked]
        return probabilities_of(self.function(*given), masks.shape, self.name)


def probabilities_of(answer: Any, shape: tuple[int, ...], name: str) -> Floats:
    """An answer as probabilities of `shape` [A] or [n, A]: those it gives, or 1 for its action.

    Raises:
        InvalidInput: It is neither.
    """
    found = np.asarray(answer)
    if found.shape == shape[:-1] and found.dtype.kind in "iu":
        if not ((found >= 0) & (found < shape[-1])).all():
            wrong = int(found[(found < 0) | (found >= shape[-1])].flat[0])
            raise InvalidInput("policy", name, f"actions of 0 to {shape[-1] - 1}, not {wrong}")
        one: Floats = np.eye(shape[-1])[found]
        return one
    if found.shape != shape or found.dtype.kind not in "iufb":
        kind = f"an array {list(found.shape)} of {found.dtype}" if found.shape else repr(answer)
        raise InvalidInput("policy", name, LIKE, f"It gave {kind[:200]}.")
    given: Floats = found.astype(np.float64)
    total = given.sum(axis=-1)
    if not ((given >= 0).all() and (abs(total - 1) < TOLERANCE).all()):
        row = np.atleast_1d(total)[0]
        hint = f"Those that it gave sum to {row:.4g}. Of logits, give the softmax."
        raise InvalidInput("policy", name, "probabilities >= 0 that sum to 1", hint)
    weights: Floats = given / total[..., None]
    return weights


def situations(task: Task) -> Situation:
    """Some situations of a task a few steps after its start, as chance has them."""
    envs = VecTask(task, _PROBED, 0)
    rng, random = np.random.default_rng(0), RandomPolicy()
    for _ in range(min(4, task.world.max_steps - 1)):
        drawn = random.probabilities(envs.situation) * rng.random(envs.masks.shape)
        envs.step(drawn.argmax(axis=1))
    now = envs.situation
    kept = Situation(now.observations.copy(), now.masks.copy(), now.states.copy(), now.actor)
    envs.close()
    return kept


def _takes_two(function: Callable[..., Any]) -> bool:
    """True if a function takes masks: a second parameter without a default, or so named."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # of a function in C nobody knows
        return False
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return any(p.default is p.empty or "mask" in p.name for p in places[1:2])
