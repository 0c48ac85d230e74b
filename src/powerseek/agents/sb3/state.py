"""The state of one of the library's algorithms between two updates, for checkpoints."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from powerseek.agents.archive import opened
from powerseek.agents.sb3.adapter import TaskVecEnv
from powerseek.envs.engine.vec import restore_envs
from powerseek.errors import InvalidInput

MAX_REPLAY = 2**26
"""Bytes of a replay buffer that is kept in a checkpoint, at most: 64 MiB when it is full."""

_LAST = ("last_obs", "last_episode_starts")
_COUNTERS = ("num_timesteps", "_n_updates", "_current_progress_remaining")
_MORE_COUNTERS = ("_n_calls", "exploration_rate")
"""Counters that only algorithms with a replay buffer have."""
_REPLAY = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def library_state(model: Any, envs: TaskVecEnv) -> dict[str, Any] | None:
    """All that the model's later updates depend on; None where its replay buffer is too large.

    A rollout buffer is left out: it is filled anew before it is read. So are statistics of
    episodes, from which nothing is drawn or learnt.
    """
    replay = getattr(model, "replay_buffer", None)
    if replay is not None and sum(part.nbytes for part in _parts(replay).values()) > MAX_REPLAY:
        return None
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
    return {
        "networks": file.getvalue(),
        "envs": envs.envs.snapshot(),
        **{name: getattr(model, f"_{name}") for name in _LAST},
        "random_keys": keys,
        **{name: getattr(model, name) for name in _counters(model)},
        "steps": envs._steps,
        "first_reward": envs.first_reward,
        "random_numpy": [kind, position, has_gauss, cached],
        "random_python": random.getstate(),
        **{name: held.cpu().numpy() for name, held in _memory(model).items()},
        **({} if replay is None else _replay_state(model, replay)),
    }


def restore_library(
    model: Any, envs: TaskVecEnv, state: Mapping[str, Any], moments: Sequence[str]
) -> None:
    """Stand where `library_state` was taken, of a new model; nothing in the state is executed.

    Args:
        model: Made of equal settings.
        envs: Its environments.
        state: What was kept.
        moments: What its optimiser remembers of each weight.

    Raises:
        Exception: Of whatever kind, if it is not the state of such a model.
    """
    networks = read_tensors(state["networks"], model.device)
    check_tensors(model.policy.state_dict(), networks["policy"])
    model.policy.load_state_dict(networks["policy"])
    _restore_optimizer(model.policy.optimizer, networks["optimizer"]["state"], moments)
    envs.envs.restore(state["envs"])
    envs._steps, envs.first_reward = state["steps"], state["first_reward"]
    restore_envs({name: getattr(model, f"_{name}") for name in _LAST}, state)
    for name, held in _memory(model).items():
        kept = torch.as_tensor(state[name])
        check_tensors({name: held}, {name: kept})
        held.copy_(kept)
    for name in _counters(model):
        setattr(model, name, type(getattr(model, name))(state[name]))
    if getattr(model, "replay_buffer", None) is not None:
        _restore_replay(model, state)
    torch.set_rng_state(networks["random"].cpu())
    if model.device.type == "cuda":
        torch.cuda.set_rng_state(networks["random_cuda"].cpu(), model.device)
    kind, position, has_gauss, cached = state["random_numpy"]
    np.random.set_state((kind, state["random_keys"], position, has_gauss, cached))  # noqa: NPY002  # as above
    version, words, gauss = state["random_python"]
    random.setstate((version, tuple(words), gauss))


def _counters(model: Any) -> tuple[str, ...]:
    return (*_COUNTERS, *(name for name in _MORE_COUNTERS if hasattr(model, name)))


def _restore_optimizer(optimizer: Any, kept: Any, moments: Sequence[str]) -> None:
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for i, moment in kept.items():
        alike = dict.fromkeys(moments, weights[i])
        check_tensors({**alike, "step": torch.tensor(0.0)}, moment)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": kept})


# --- memory of a recurrent network, and of a replay buffer -------------------------------------


def _memory(model: Any) -> dict[str, torch.Tensor]:
    """What a recurrent model remembers, by name."""
    held = getattr(model, "_last_lstm_states", None)
    if held is None:
        return {}
    pairs = {"actor": held.pi, "critic": held.vf}
    return {f"memory_{of}_{i}": part for of, pair in pairs.items() for i, part in enumerate(pair)}


def _parts(replay: Any) -> dict[str, Any]:
    return {name: getattr(replay, name) for name in _REPLAY}


def _replay_state(model: Any, replay: Any) -> dict[str, Any]:
    """The transitions held, and the generator of actions at random."""
    rows = replay.buffer_size if replay.full else replay.pos
    return {
        "replay": {name: part[:rows] for name, part in _parts(replay).items()},
        "replay_next": replay.pos,
        "random_actions": model.action_space.np_random.bit_generator.state,
    }


def _restore_replay(model: Any, state: Mapping[str, Any]) -> None:
    replay, kept = model.replay_buffer, state["replay"]
    rows, position = len(kept["rewards"]), int(state["replay_next"])
    full = rows == replay.buffer_size
    if not (0 <= position < replay.buffer_size if full else position == rows):
        raise InvalidInput("snapshot.replay_next", position, "where the next transition goes")
    restore_envs({name: part[:rows] for name, part in _parts(replay).items()}, kept)
    replay.pos, replay.full = position, full
    model.action_space.np_random.bit_generator.state = state["random_actions"]


# --- tensors from files ------------------------------------------------------------------------


def read_tensors(content: bytes, device: Any) -> Any:
    """What `torch.save` wrote, of weights and plain values alone, none of it compressed."""
    opened(content).close()
    return torch.load(io.BytesIO(content), device, weights_only=True)


def check_tensors(expected: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> None:
    """Refuse tensors of other names, shapes or types, or with values that are no numbers.

    Raises:
        ValueError: It names the first that differs.
    """
    if set(given) != set(expected):
        raise ValueError(
            f"weights of other layers: {', '.join(sorted(set(given) ^ set(expected)))}"
        )
    for name, here in expected.items():
        tensor = given[name]
        if (tensor.shape, tensor.dtype, tensor.layout) != (here.shape, here.dtype, here.layout):
            raise ValueError(f"weights {name!r} of another shape or type")
        if not torch.isfinite(tensor).all():
            raise ValueError(f"weights {name!r} are not all numbers")
