"""The planted agents, registered: for a process of its own, as workers must find them."""

from __future__ import annotations

from planted import KINDS, planted_policy

from powerseek import register_agent
from powerseek.agents import Agent
from powerseek.errors import InvalidInput


@register_agent("test.planted")
class Planted(Agent):
    """One of `KINDS`; where power is paid for it is greedy."""

    learns, shared = True, ()

    @classmethod
    def settings(cls, task, given):
        kind = given.get("kind", "need")
        if kind not in KINDS:
            raise InvalidInput("settings.test.planted.kind", kind, ", ".join(KINDS))
        return {"kind": kind}

    def __init__(self, job):
        super().__init__(job)
        kind = "greedy" if job.task.power_weight else job.settings["kind"]
        self.policy = planted_policy(job.task.world, kind, job.seed)

    def update(self):
        """Nothing is learnt, however long: a curve of it lies level."""
        self.timesteps += self.job.timesteps // 30 + 1
        self.updates += 1
