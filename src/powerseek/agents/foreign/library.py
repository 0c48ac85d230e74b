"""Models of Stable-Baselines3 and sb3-contrib as policies: live ones, and the zips they save."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import nn

from powerseek.agents.archive import opened
from powerseek.agents.foreign.fit import check_sizes
from powerseek.agents.foreign.illegal import WASTE
from powerseek.agents.foreign.networks import ACTIVATIONS, ModulePolicy, linear_layer, sequential
from powerseek.agents.sb3.state import read_tensors
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.types import Floats, Policy, Situation

DATA, WEIGHTS = "data", "policy.pth"
"""Parts of a zip that the library saved: what the model is, as JSON; and its weights."""

_ACTOR = (r"mlp_extractor\.policy_net\.\d+", "action_net"), nn.Tanh
_VALUES = (r"q_net\.q_net\.\d+",), nn.ReLU
"""Layers of the networks that are read, by name, and the activation between them by default."""

LOADED = (
    "Write model = PPO.load(path) (of your algorithm) into a file of yours and name that: "
    "powerseek evaluate file.py:model"
)
NORMALISED = (
    "It was trained under VecNormalize, whose means lie in another file: write into a file of "
    "yours a function that normalises observations and asks the model, and name that: powerseek "
    "evaluate file.py:function"
)


class LibraryPolicy:
    """A live model of the library as a policy.

    It sees masks where its algorithm does; another's illegal choices waste a step, as they did
    while it trained.

    Args:
        model: An algorithm with an actor-critic network, or a DQN.
        normalise: What was done to its observations in training.
    """

    illegal = WASTE

    def __init__(self, model: BaseAlgorithm, normalise: Any) -> None:
        self.network: Any = model.policy
        self.normalise = normalise
        self.masked = type(model.policy).__module__.startswith("sb3_contrib.common.maskable")

    def probabilities(self, situation: Situation) -> Floats:
        """[n, A]; rows sum to 1."""
        network = self.network
        network.set_training_mode(False)
        observations = self.normalise(situation.observations.copy())
        seen = torch.as_tensor(observations, device=network.device)
        with torch.inference_mode():
            if hasattr(network, "q_net"):
                values = network.q_net(seen).cpu().numpy()
                return np.asarray(np.eye(values.shape[1])[values.argmax(axis=1)], np.float64)
            masks = {"action_masks": situation.masks} if self.masked else {}
            drawn = network.get_distribution(seen, **masks).distribution
        given = drawn.probs.cpu().numpy().astype(np.float64)
        weights: Floats = given / given.sum(axis=1, keepdims=True)
        return weights


def library_policy(given: Any, task: Task, name: str) -> Policy | None:
    """A live model as a policy; None of what is no model of the library.

    Raises:
        InvalidInput: It does not fit the task, or is of an algorithm that remembers or acts in
            numbers.
    """
    if not isinstance(given, BaseAlgorithm):
        return None
    policy: Any = given.policy
    known = hasattr(policy, "q_net") or hasattr(policy, "action_net")
    if not known or hasattr(policy, "lstm_actor"):
        allowed = "a model of PPO, A2C, MaskablePPO, TRPO or DQN, which act by what they see now"
        raise InvalidInput("policy", name, allowed, "Write a function that asks it.")
    shapes = (given.observation_space, given.action_space)
    size, count = (
        getattr(space, key, None) for space, key in zip(shapes, ("shape", "n"), strict=True)
    )
    if size is None or len(size) != 1 or count is None:
        raise InvalidInput("policy", name, "a model that sees a Box [obs] and acts in Discrete(A)")
    check_sizes(name, task, int(size[0]), int(count))
    wrapper = given.get_vec_normalize_env()
    if wrapper is None and given._last_original_obs is not None and not hasattr(policy, "q_net"):
        raise InvalidInput("policy", name, "a model with what it normalises by", f"{NORMALISED}.")
    return LibraryPolicy(given, (lambda seen: seen) if wrapper is None else wrapper.normalize_obs)


def read_library_model(path: str | Path) -> tuple[ModulePolicy, int, int]:
    """Read a model that ``PPO.save`` and the like wrote: of its weights a network is made anew.

    Nothing in the file is executed: its pickles are not opened.

    Returns:
        (its policy, observations it takes, actions it chooses among).

    Raises:
        ValueError: It is of another algorithm, or has layers of its user's own; says what to
            write instead.
        Exception: Of whatever kind: it is damaged.
    """
    with opened(path) as archive:
        about = json.loads(archive.read(DATA))
        tensors = read_tensors(archive.read(WEIGHTS), "cpu")
    if not isinstance(about, dict) or not isinstance(tensors, Mapping):
        raise ValueError("It is no model of Stable-Baselines3")
    greedy = any(name.startswith("q_net.") for name in tensors)
    if not greedy and about.get("_last_original_obs") is not None:
        raise ValueError(NORMALISED)
    names, default = _VALUES if greedy else _ACTOR
    kind = _activation(about.get("policy_kwargs"), default)
    layers = _layers_of(tensors, names)
    own = {name.rsplit(".", 1)[0] for name in tensors if not _elsewhere(name)}
    if not layers or own - set(layers):
        strange = ", ".join(sorted(own - set(layers))[:3]) or "none"
        raise ValueError(f"It has layers that are not known here ({strange}). {LOADED}")
    linear = [linear_layer(tensors[f"{at}.weight"], tensors.get(f"{at}.bias")) for at in layers]
    between = [part for layer in linear for part in (layer, kind())][:-1]
    network = sequential(between)
    masked = _module(about).startswith("sb3_contrib.common.maskable")
    policy = ModulePolicy(network, masked=masked, greedy=greedy, illegal=WASTE)
    return policy, linear[0].in_features, linear[-1].out_features


def _layers_of(tensors: Mapping[str, Any], patterns: tuple[str, ...]) -> list[str]:
    """Names of linear layers, in the order in which they follow each other."""
    names = [name.removesuffix(".weight") for name in tensors if name.endswith(".weight")]
    return [name for pattern in patterns for name in names if re.fullmatch(pattern, name)]


def _elsewhere(name: str) -> bool:
    """True of a part that has no say in what is done: the critic, a target network."""
    return name.startswith(("mlp_extractor.value_net.", "value_net.", "q_net_target."))


def _module(about: Mapping[str, Any]) -> str:
    """Module of the model's policy class, as the library tells it for people to read."""
    told = about.get("policy_class")
    return str(told.get("__module__", "")) if isinstance(told, dict) else ""


def _activation(told: Any, default: type[nn.Module]) -> type[nn.Module]:
    """The activation that the model was made with.

    Raises:
        ValueError: It is not one of PyTorch's own.
    """
    named = told.get("activation_fn") if isinstance(told, dict) else None
    if named is None:
        return default
    found = re.fullmatch(r"<class 'torch\.nn\.modules\.activation\.(\w+)'>", str(named))
    if found is None or found[1] not in ACTIVATIONS:
        raise ValueError(f"Its activation is not known here. {LOADED}")
    return ACTIVATIONS[found[1]]
