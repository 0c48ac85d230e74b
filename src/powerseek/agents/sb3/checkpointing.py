"""The whole state of a PPO training between two updates, out of the library and back into it."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from powerseek.agents.checkpoint import arrays_from_bytes, arrays_to_bytes

NETWORKS, ARRAYS, STATE = "networks.pth", "arrays.npz", "state.json"
COPIES = "copies."


def take_down(model: Any, envs: Any, ours: Any) -> dict[str, bytes]:
    """The parts of a checkpoint of `model`, which stands before collecting experience.

    The rollout buffer is left out: it is filled anew before it is read. So are the generators of
    the spaces, and statistics of episodes, from which nothing is drawn or learnt.

    Args:
        model: A PPO of Stable-Baselines3.
        envs: Its `TaskVecEnv`.
        ours: Plain JSON values, or NumPy's numbers, to keep beside it.
    """
    kind, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002  # the library draws from it
    networks = {
        "policy": model.policy.state_dict(),
        "optimizer": model.policy.optimizer.state_dict(),
        "random": torch.get_rng_state(),
    }
    if model.device.type == "cuda":
        networks["random_cuda"] = torch.cuda.get_rng_state(model.device)
    file = io.BytesIO()
    torch.save(networks, file)
    arrays = {
        **{f"{COPIES}{name}": array for name, array in envs.copies.snapshot().items()},
        "last_obs": model._last_obs,
        "last_episode_starts": model._last_episode_starts,
        "random_numpy": keys,
    }
    state = {
        "num_timesteps": model.num_timesteps,
        "n_updates": model._n_updates,
        "progress_remaining": model._current_progress_remaining,
        "steps": envs._steps,
        "first_reward": envs.first_reward,
        "random_numpy": [kind, position, has_gauss, cached],
        "random_python": random.getstate(),
        "ours": ours,
    }
    return {
        NETWORKS: file.getvalue(),
        ARRAYS: arrays_to_bytes(arrays),
        STATE: json.dumps(state, default=_plain).encode(),
    }


def put_back(model: Any, envs: Any, parts: Mapping[str, bytes]) -> Any:
    """Put `model` and `envs`, both new, where `take_down` found others like them.

    Nothing in the parts is executed. Where this raises, both are to be made anew.

    Returns:
        What the caller kept beside it.

    Raises:
        Exception: Of several kinds: the parts are not those of such a training.
    """
    state = json.loads(parts[STATE])
    arrays = arrays_from_bytes(parts[ARRAYS])
    networks = torch.load(io.BytesIO(parts[NETWORKS]), model.device, weights_only=True)
    model.policy.load_state_dict(networks["policy"])
    model.policy.optimizer.load_state_dict(networks["optimizer"])
    copies = {k.removeprefix(COPIES): v for k, v in arrays.items() if k.startswith(COPIES)}
    envs.copies.restore(copies)
    envs._steps, envs.first_reward = state["steps"], state["first_reward"]
    model._last_obs = arrays["last_obs"]
    model._last_episode_starts = arrays["last_episode_starts"]
    model.num_timesteps = state["num_timesteps"]
    model._n_updates = state["n_updates"]
    model._current_progress_remaining = state["progress_remaining"]
    torch.set_rng_state(networks["random"].cpu())
    if model.device.type == "cuda":
        torch.cuda.set_rng_state(networks["random_cuda"].cpu(), model.device)
    kind, position, has_gauss, cached = state["random_numpy"]
    np.random.set_state((kind, arrays["random_numpy"], position, has_gauss, cached))  # noqa: NPY002  # as above
    version, words, gauss = state["random_python"]
    random.setstate((version, tuple(words), gauss))
    return state["ours"]


def _plain(number: Any) -> Any:
    """A NumPy number as Python's: floats come back bit for bit."""
    return number.item()
