"""The size of a study, told before anything of it is built."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from powerseek.agents.spec import read_agent
from powerseek.errors import InvalidInput
from powerseek.experiments.study.schema import Study, WorldEntry
from powerseek.limits import LIMITS
from powerseek.registry import agents

PACE, COHORT_PACE = 10_000, 100_000
"""Environment steps a second of training on one core, roughly: of agents trained alone, and side by
side. `powerseek plan` measures them."""


class Size(NamedTuple):
    """The size of a study, told from the lengths of its lists: an upper end, as cells may be equal.

    Attributes:
        cells: Treatments.
        trials: Treatments with each seed.
        hours: Of training on one core, roughly.
    """

    cells: int
    trials: int
    hours: float

    def __str__(self) -> str:
        """The size in words."""
        return f"{self.trials:,} trials, about {self.hours:,.1f} hours of training on one core"


def study_size(study: Study) -> Size:
    """Tell the size of a study; nothing is built, and no memory taken for it."""
    count, seconds = 0, 0.0
    for block, _ in study.blocks():
        for entry in block.worlds:
            alike = _levels_of_world(block, entry) * prod(
                map(_length, (block.rewards, block.power_weight, block.gamma, block.time_limit)),
                start=prod(map(_length, (block.gae_lambda, block.n_step, block.lookahead)))
                * len(block.phases or (None,)),
            )
            timesteps = entry.timesteps or block.timesteps
            for agent, named in map(read_agent, entry.agents or block.agents):
                shared = block.settings.get(agent, {})
                settings = {**shared, **entry.settings.get(agent, {}), **named}
                cells = alike * prod(map(_length, settings.values()))
                count += cells * len(timesteps)
                seconds += cells * sum(timesteps) / _pace(agent)
    return Size(count, count * study.seeds, seconds * study.seeds / 3600)


def _levels_of_world(block: Study, entry: WorldEntry) -> int:
    factors = entry.openness, entry.goals, entry.max_steps or block.max_steps, entry.shift
    return prod(map(_length, (*factors, *entry.params.values())))


def _length(levels: Any) -> int:
    """Levels of a factor, which may be one value alone."""
    return max(1, len(levels)) if isinstance(levels, list | tuple) else 1


def _pace(agent: str) -> int:
    known = agents.taken(agent) and agents.get(agent).shared is not None
    return COHORT_PACE if known else PACE


def check_size(study: Study) -> Size:
    """The size of a study, unless it has more trials than can be meant.

    Raises:
        InvalidInput: It is one; with its trials and hours.
    """
    most, found = LIMITS["trials"].maximum, study_size(study)
    if found.trials <= most:
        return found
    fewer = most // found.cells if found.cells else 0
    field, value = ("seeds", study.seeds) if fewer else ("cells", found.cells)
    hint = f"Write seeds: {fewer}, or fewer." if fewer else "Write fewer levels in the lists."
    raise InvalidInput(field, value, f"at most {most:,} trials in all, not {found}", hint)
