"""Models that are learnt: of a task they know what was seen in it, and nothing of its rules.

A state is what the agent sees of it: the observation and the legal actions are its handle. Worlds
guarantee that what can be reached is told apart by that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from powerseek.agents.search.model import Chance, Outcomes
from powerseek.envs.task import VecTask
from powerseek.exact.model_error import Imagined
from powerseek.exact.state_index import pack_seen, seen_width
from powerseek.types import Bools, Floats, Floats32, Ints, Situation


class Learnt(ABC):
    """A model of a task that is learnt from the steps taken in it, a `Model` for trees.

    Args:
        inputs: Features that are observed.
        actions: Number of actions A.

    Attributes:
        width: H, of a handle.
    """

    step_flops = 0
    """Floating point operations in networks that a step of one state takes."""
    batch_flops = 0
    """Those that one of its gradient steps takes."""

    def __init__(self, inputs: int, actions: int) -> None:
        self.inputs, self.actions = inputs, actions
        self.width = seen_width(inputs, actions)

    def stand(self, envs: VecTask) -> Ints:
        """See Model.stand."""
        return pack_seen(envs.observations, envs.masks)

    def recall(self, situation: Situation) -> Ints:
        """See Model.recall."""
        return pack_seen(situation.observations, situation.masks)

    @abstractmethod
    def step(self, handles: Ints, actions: Ints, chance: Chance) -> Outcomes:
        """See Model.step."""

    @abstractmethod
    def meet(
        self, stood: Ints, actions: Ints, rewards: Floats, ended: Bools, envs: VecTask
    ) -> None:
        """Take down one step of n environments.

        Args:
            stood: [n, H] where they stood.
            actions: [n] what was done there.
            rewards: [n] what was paid for it.
            ended: [n] the episode ended with it.
            envs: Where they stand now; of no meaning where the episode ended.

        Raises:
            InvalidInput: There is no room for more.
        """

    def learn(self) -> int:
        """Learn from all that was met; the number of gradient steps taken."""
        return 0

    @abstractmethod
    def outcomes(self, observations: Floats32, masks: Bools, actions: Ints) -> Imagined:
        """All that it holds possible of steps [n], and how probable."""

    @property
    @abstractmethod
    def reward_range(self) -> tuple[float, float]:
        """Least and greatest reward that it can say, 0 among them."""

    @abstractmethod
    def arrays(self) -> dict[str, Any]:
        """Arrays by name from which `restore` makes it step as it does."""

    @abstractmethod
    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Step as the model did that gave these `arrays`."""

    def state_dict(self) -> dict[str, Any]:
        """All that later learning depends on, likewise."""
        return self.arrays()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where `state_dict` was taken."""
        self.restore(state)
