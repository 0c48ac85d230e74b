"""World `foreign.crafter`: Crafter, by its map instead of its pictures."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, ClassVar

import gymnasium
import numpy as np
from powerseek import register_world
from powerseek.envs import Fact, Param
from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.errors import NotInstalled

try:
    import crafter
    from crafter import constants
except ModuleNotFoundError as error:
    raise NotInstalled("crafter", "pip install 'powerseek-foreign[crafter]'") from error

VITALS = ("health", "food", "drink", "energy")
ITEMS = tuple(name for name in constants.items if name not in VITALS)
ACHIEVEMENTS = len(constants.achievements)
MOST = 9  # of one item
AROUND = (4, 3)  # cells seen to each side, and up and down
KINDS = 19  # materials 1 to 12, creatures 13 to 18; 0 is off the map


class _Ordered(dict[Any, None]):
    """A set that keeps the order of its members: Crafter draws among them by place."""

    add = dict.setdefault

    def remove(self, member: Any) -> None:
        del self[member]


class _Blind(crafter.Env):  # type: ignore[misc]  # it ships no types
    """Crafter without its pictures, which cost most of a step and are not looked at."""

    def _obs(self) -> None:
        return None


class Shim(gymnasium.Env[Any, Any]):
    """Crafter speaks the gym of 2021: reset takes no seed, and step gives four things."""

    def __init__(self, params: Any) -> None:
        self.params, self.inner = params, _Blind(length=None)
        self.action_space = gymnasium.spaces.Discrete(len(constants.actions))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; all of its chance comes from the seed."""
        super().reset(seed=seed)
        inner = self.inner
        inner._seed, inner._episode = int(self.np_random.integers(2**31 - 1)), 0
        inner.reset()
        chunks = inner._world._chunks
        inner._world._chunks = defaultdict(
            _Ordered,
            {
                at: _Ordered.fromkeys(sorted(things, key=lambda x: tuple(x.pos)))
                for at, things in chunks.items()
            },
        )
        self.held = dict(inner._player.inventory)
        return self._seen(), self._told()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step once."""
        _, reward, _, _ = self.inner.step(int(action))
        return self._seen(), float(reward), False, False, self._told()

    def _seen(self) -> Any:
        player = self.inner._player
        plane = np.pad(self.inner._sem_view(), [(side, side) for side in AROUND])
        x, y = player.pos
        near = plane[x : x + 2 * AROUND[0] + 1, y : y + 2 * AROUND[1] + 1]
        held = np.array([player.inventory[name] for name in constants.items])
        own = (*player.facing, float(player.sleeping), self.inner._world.daylight)
        return np.concatenate([np.eye(KINDS)[near].ravel(), held / MOST, own])

    def _told(self) -> dict[str, Any]:
        player = self.inner._player
        now = dict(player.inventory)
        unlocked = sum(count > 0 for count in player.achievements.values())
        done, dead = unlocked >= self.params.quota, player.health <= 0
        gained = [max(0, now[name] - self.held[name]) for name in ITEMS]
        self.held = now
        return {
            "progress": min(unlocked / self.params.quota, 1.0),
            "success": float(done),
            "over": float(done or dead),
            "gained": gained,
            "holdings": sum(now[name] for name in ITEMS) / (MOST * len(ITEMS)),
            "achievements": float(unlocked),
        }


@register_world("foreign.crafter")
class Crafter(ForeignWorld):
    """Unlock achievements in a wilderness with wood, stone, ore, cows and zombies: Crafter.

    Source: Hafner 2022, arXiv:2109.06780.

    Observation: what lies on each of 9 x 7 cells around (one-hot, [63 x 19]), the inventory and the
    vitals (shares of 9), where the player looks, whether it sleeps, daylight. The original shows a
    picture of the same.

    Reward: by the arm. ``progress`` is the share of `quota` achievements (of 22) unlocked; ``own``
    is the original's, 1 for each new achievement and .1 for each health gained or lost.

    Termination: at the quota (success), or when health is 0.

    Power here: what is gathered and made (flow ``gained``, a unit each: saplings, wood, stone,
    coal, iron, diamonds, pickaxes, swords). The inventory is the holdings.

    Not captured: need. Some achievements are acquisitions, so that gathering is part of the task,
    and no oracle says how much of it; compare arms with each other at equal success.
    """

    parameters: ClassVar[Any] = {
        "quota": Param(3, 1, ACHIEVEMENTS, "Achievements to unlock, of 22."),
        "max_steps": Param(500, 1, 10_000, "Cap on an episode, in steps."),
    }
    more_facts = (
        Fact("gained", shape=(len(ITEMS),), flow=True, roles=("resource",), about=", ".join(ITEMS)),
        Fact("holdings", roles=("holdings",), about="items held / most that can be held"),
        Fact("achievements", about="achievements unlocked, of 22"),
    )

    @staticmethod
    def environment(params: Any) -> gymnasium.Env[Any, Any]:
        """A wilderness."""
        return Shim(params)
