"""Saved models of the library as policies: their sizes are checked before they are unpacked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from powerseek.agents.archive import opened
from powerseek.agents.sb3.adapter import spaces
from powerseek.agents.sb3.families import Family
from powerseek.agents.sb3.learner import network_settings
from powerseek.agents.sb3.policies import policy_of_network
from powerseek.agents.sb3.state import check_tensors, read_tensors
from powerseek.types import Policy

WEIGHTS = "policy.pth"
"""The part of a model that Stable-Baselines3 saved which holds its network."""
_FRAME = 2**16
"""Bytes that names, places and alignment of a layer's weights may take besides."""


def load_policy(family: Family, path: Path, card: Mapping[str, Any], device: str) -> Policy:
    """The policy of a saved agent.

    Raises:
        Exception: Of whatever kind: weights other than those of the network on the card.
    """
    settings = family.settings(card["world"], card["settings"])
    inputs, actions = len(card["observations"]), len(card["actions"])
    layers = 2 + len(settings["net"]) + settings.get("n_lstm_layers", 0)
    with opened(path) as archive:
        minimum = 4 * family.weights(settings, inputs, actions)
        _check_size(archive.getinfo(WEIGHTS).file_size, minimum, layers)
        content = archive.read(WEIGHTS)
    network = family.network_class()(
        *spaces(inputs, actions), lambda _: 0.0, **network_settings(settings, family)
    ).to(device)
    tensors = read_tensors(content, device)
    check_tensors(network.state_dict(), tensors)
    network.load_state_dict(tensors)
    network.set_training_mode(False)
    return policy_of_network(family, network, settings)


def _check_size(size: int, minimum: int, layers: int) -> None:
    """Refuse weights of another size in bytes than those of a network with so many layers."""
    if not minimum <= size <= minimum + _FRAME * layers:
        raise ValueError(f"its weights take {size:,} bytes, those of its network {minimum:,}")
