"""Worlds: rules over one record, the simulator, reward function and adapters."""

from powerseek.envs.checks.run import Finding, Report, assert_conforms, check_world
from powerseek.envs.engine.chance import flip, pick, rule, weighted
from powerseek.envs.engine.expand import Expansion, describe, expand, initial_branches, script
from powerseek.envs.engine.vec import VecWorld
from powerseek.envs.world import Fact, Param, World, columns
from powerseek.errors import WorldError

__all__ = [
    "Expansion",
    "Fact",
    "Finding",
    "Param",
    "Report",
    "VecWorld",
    "World",
    "WorldError",
    "assert_conforms",
    "check_world",
    "columns",
    "describe",
    "expand",
    "flip",
    "initial_branches",
    "pick",
    "rule",
    "script",
    "weighted",
]
