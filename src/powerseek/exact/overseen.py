"""Tasks with the exact overseer that their arm asks for."""

from __future__ import annotations

from dataclasses import replace

from powerseek.envs.rewards.spec import arm_name
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.exact.enumerate import DEFAULT_LIMIT
from powerseek.exact.oracle import enumerated
from powerseek.exact.overseer import ExactOverseer, exact_overseer


def overseen(task: Task, limit: int = DEFAULT_LIMIT) -> Task:
    """The task with an exact overseer, where its arm needs one; else the task itself.

    The world is enumerated and the judgement computed once a process. An overseer of your own is
    kept. An exact one of another world or arm is replaced: it would not know the states.

    Args:
        task: Any task.
        limit: Most states to enumerate.

    Raises:
        InvalidInput: The world cannot be enumerated, or the arm asks for no exact overseer.
    """
    arm, given = task.arm, task.overseer
    if not arm.needs_overseer or (given is not None and not isinstance(given, ExactOverseer)):
        return task
    if arm.oversight is None:
        raise InvalidInput(
            "reward",
            arm_name(task.reward),
            "an arm that an exact overseer can judge for",
            "Write Task(..., overseer=...) with an overseer of your own.",
        )
    mdp = enumerated(task.world, limit)
    overseer = exact_overseer(mdp, arm.oversight, task.world.max_steps)
    if given is not None and (given.advantages, given.share) == (
        overseer.advantages,
        overseer.share,
    ):
        return task
    return replace(task, overseer=overseer)
