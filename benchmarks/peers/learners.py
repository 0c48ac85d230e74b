"""Our own learners on `homestead`, paid at every step, at their defaults, beside `cohort-ppo`."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.peers.sides import Comparison, Side, Work, timed
from benchmarks.peers.training import EPISODES, SEED, task
from powerseek.agents.settings import LEARNT
from powerseek.agents.spec import AgentSpec
from powerseek.registry import agents

STEPS = 20_480
OURS = "cohort-ppo"


def _work(agent: AgentSpec) -> Work:
    """Train one agent; the first training, which compiles, is not measured."""
    from powerseek.agents import rollout, train, without_interruption

    calm = without_interruption(task())
    train(task(), agent, seed=SEED, timesteps=1)

    def work(turn: int) -> dict[str, Any]:
        learn = partial(train, task(), agent, seed=SEED + turn, timesteps=STEPS)
        seconds, done = timed(learn, 0)
        success = rollout(done.policy, calm, EPISODES, SEED).last("success")
        return {
            "seconds": seconds,
            "steps": done.timesteps,
            "flops": done.spent["flops"],
            "competence": float(success.mean()),
        }

    return work


def _sides() -> dict[str, Side]:
    """All that are built in and learn, `OURS` first; search in each kind of model."""
    known = [id for id in sorted(agents.builtin) if agents.get(id).learns and id != OURS]
    specs: dict[str, AgentSpec] = {id: id for id in (OURS, *known)}
    specs |= {f"search, model: {model}": {"search": {"model": model}} for model in LEARNT}
    return {name: Side(name, "powerseek", partial(_work, spec)) for name, spec in specs.items()}


COMPARISONS = {"learners": Comparison(f"one agent of each kind, {STEPS:,} steps", _sides(), 2)}
