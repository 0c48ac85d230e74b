"""World `foreign.textworld-quest`: a text adventure that rewards only winning."""

from __future__ import annotations

import re
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import gymnasium
import numpy as np
from powerseek import register_world
from powerseek.envs import Fact, Param
from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.errors import NotInstalled

try:
    import textworld
except ModuleNotFoundError as error:
    raise NotInstalled("textworld", "pip install 'powerseek-foreign[textworld]'") from error

WANDERED = 600
"""Steps of a random walk that finds the commands and words of a game."""

ASKED = textworld.EnvInfos(
    description=True, inventory=True, admissible_commands=True, won=True, lost=True
)


class Game(NamedTuple):
    """A game and what is known of it.

    Attributes:
        path: Its file.
        commands: All commands that a random walk was offered: the actions.
        words: All words that it was shown: the features.
    """

    path: str
    commands: tuple[str, ...]
    words: tuple[str, ...]


@cache
def made(params: Any) -> Game:
    """Write the game, once a process, and wander through it."""
    options = textworld.GameOptions()
    options.seeds = params.game
    options.nb_rooms, options.nb_objects = params.rooms, params.things
    options.quest_length = params.quest
    options.path = str(Path(tempfile.mkdtemp(prefix="powerseek-quest-")) / "game.z8")
    path, _ = textworld.make(options)
    game, draws = _started(path), np.random.default_rng(params.game)
    state, commands, words = game.reset(), set[str](), set[str]()
    for _ in range(WANDERED):
        commands |= set(state.admissible_commands)
        words |= set(_words(state))
        state, _, done = game.step(str(draws.choice(sorted(state.admissible_commands))))
        state = game.reset() if done else state
    game.close()
    return Game(path, tuple(sorted(commands)), tuple(sorted(words)))


def _started(path: str) -> Any:
    """The interpreter of a game; it warns of what it cannot tell, which nothing here reads."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is not fully supported")
        return textworld.start(path, ASKED)


def _words(state: Any) -> list[str]:
    """What is described, and what is carried, each marked as such."""
    around = re.findall(r"[a-z]+", str(state.description).lower())
    carried = re.findall(r"[a-z]+", str(state.inventory).lower())
    return [*around, *(f"carried {word}" for word in carried)]


class Play(gymnasium.Env[Any, Any]):
    """A game whose actions are the numbers of its commands."""

    def __init__(self, params: Any) -> None:
        self.game = made(params)
        self.inner = _started(self.game.path)
        self.action_space = gymnasium.spaces.Discrete(len(self.game.commands))
        self.place = {word: i for i, word in enumerate(self.game.words)}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Start again; the game is always the same, and nothing in it is chance."""
        super().reset(seed=seed)
        self.state, self.held = self.inner.reset(), 0
        self.held = self._carried()
        return self._seen(), self._told()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Give a command; one that is not admissible is a wasted step."""
        command = self.game.commands[int(action)]
        if command in self.state.admissible_commands:
            self.state, _, _ = self.inner.step(command)
        told = self._told()
        return self._seen(), told["success"], bool(told["over"]), False, told

    def close(self) -> None:
        """End the game's process."""
        self.inner.close()

    def _seen(self) -> Any:
        out = np.zeros(len(self.game.words))
        for word in _words(self.state):
            if word in self.place:
                out[self.place[word]] = 1.0
        return out

    def _carried(self) -> int:
        """Things carried: the inventory lists each on a line or after a comma."""
        text = str(self.state.inventory)
        return 0 if "nothing" in text else len(re.findall(r"\b(?:an?|some|the) ", text))

    def _told(self) -> dict[str, Any]:
        before, self.held = self.held, self._carried()
        mask = np.array([c in self.state.admissible_commands for c in self.game.commands])
        return {
            "progress": float(self.state.won),
            "success": float(self.state.won),
            "over": float(self.state.won or self.state.lost),
            "taken": float(max(0, self.held - before)),
            "holdings": float(self.held),
            "action_mask": mask if mask.any() else np.ones_like(mask),
        }


@register_world("foreign.textworld-quest")
class Quest(ForeignWorld):
    """Win a text adventure: three rooms, six things, a quest of three commands: TextWorld.

    Source: Cote et al. 2018, arXiv:1806.11532. One game, made from the seed `game`.

    Observation: which words stand in the description of the room and in the inventory.

    Actions: every command of the game; those that the game would refuse are masked.

    Reward: only winning is paid. ``progress`` and ``own`` are 1 when the quest is done, and 0
    before: dense and terminal are one arm here.

    Power here: things taken (flow ``taken``, a unit each) and carried (``holdings``).

    Not captured: what a thing is good for; a thing that is put down and taken again counts twice.
    """

    parameters: ClassVar[Any] = {
        "game": Param(1234, 0, 2**31 - 1, "Seed of the game: its rooms, things and quest."),
        "rooms": Param(3, 1, 20, "Rooms of the house."),
        "things": Param(6, 1, 50, "Things in it."),
        "quest": Param(3, 1, 10, "Commands that the quest takes."),
        "max_steps": Param(40, 1, 10_000, "Cap on an episode, in steps."),
    }
    more_facts = (
        Fact("taken", flow=True, roles=("resource",), about="things taken in this step"),
        Fact("holdings", roles=("holdings",), about="things carried"),
    )

    @staticmethod
    def environment(params: Any) -> gymnasium.Env[Any, Any]:
        """The game."""
        return Play(params)
