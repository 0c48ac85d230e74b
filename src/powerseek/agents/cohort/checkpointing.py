"""The whole state of one agent of a cohort between two updates, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from powerseek.agents.checkpoint import arrays_from_bytes, arrays_to_bytes
from powerseek.agents.cohort.ppo import Learner
from powerseek.agents.sb3.checkpointing import ARRAYS, COPIES, STATE


def take_down(learner: Learner, ours: Any) -> dict[str, bytes]:
    """The parts of a checkpoint of `learner`; experience is left out: it is gathered anew.

    Args:
        learner: The agent.
        ours: Plain JSON values to keep beside it.
    """
    arrays = {name: part.cpu().numpy() for name, part in _numbers(learner).items()}
    for name, array in learner.copies.snapshot().items():
        arrays[f"{COPIES}{name}"] = array
    state = {
        "timesteps": learner.timesteps,
        "updates": learner.updates,
        "first_reward": learner.first_reward,
        "losses": learner.losses,
        "adam_steps": learner.adam.steps,
        "acting": learner.acting.bit_generator.state,
        "shuffling": learner.shuffling.bit_generator.state,
        "ours": ours,
    }
    return {ARRAYS: arrays_to_bytes(arrays), STATE: json.dumps(state).encode()}


def put_back(learner: Learner, parts: Mapping[str, bytes]) -> Any:
    """Put `learner`, which is new, where `take_down` found another like it.

    Nothing in the parts is executed. Where this raises, the learner is to be made anew.

    Returns:
        What the caller kept beside it.

    Raises:
        Exception: Of several kinds: the parts are not those of such an agent.
    """
    state, arrays = json.loads(parts[STATE]), arrays_from_bytes(parts[ARRAYS])
    for name, part in _numbers(learner).items():
        kept = torch.from_numpy(arrays.pop(name))
        if kept.shape != part.shape or kept.dtype != part.dtype:
            raise ValueError(f"{name}: of another shape or type")
        part.copy_(kept)
    learner.copies.restore({name.removeprefix(COPIES): array for name, array in arrays.items()})
    learner.timesteps, learner.updates = int(state["timesteps"]), int(state["updates"])
    learner.first_reward, learner.losses = state["first_reward"], dict(state["losses"])
    learner.adam.steps = int(state["adam_steps"])
    _wind(learner.acting, state["acting"])
    _wind(learner.shuffling, state["shuffling"])
    return state["ours"]


def _numbers(learner: Learner) -> dict[str, torch.Tensor]:
    """What an update changes in place."""
    networks, adam = learner.networks, learner.adam
    return {"weights": networks.weights, "mean": adam.mean, "square": adam.square}


def _wind(generator: np.random.Generator, state: Mapping[str, Any]) -> None:
    generator.bit_generator.state = state
