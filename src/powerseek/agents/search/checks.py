"""Refusals of tasks and sizes in which nobody can search."""

from __future__ import annotations

from powerseek.agents.memory import free_training_memory
from powerseek.agents.search.model import handle_width, recalls
from powerseek.agents.search.policy import ROOTS
from powerseek.agents.search.tree import tree_bytes
from powerseek.agents.settings import ACTING
from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.envs.rewards.spec import reward_name
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.exact.state_index import seen_width


def check_task(task: Task, learnt: bool = False) -> None:
    """Refuse a task in which nobody can search.

    Args:
        task: The task.
        learnt: True for a search in a model that is learnt, which needs no rules.

    Raises:
        InvalidInput: A foreign world and no model of it, or a bootstrapped time limit.
    """
    if isinstance(task.world, ForeignWorld) and not learnt:
        allowed = "a world with rules for what searches: a foreign one can be acted in alone"
        hint = "Write {search: {model: network}}, cohort-ppo, or another learner."
        raise InvalidInput("world", task.world.id, allowed, hint)
    if task.time_limit == "bootstrap":
        allowed = "terminal for what searches: a bootstrapped time limit has no last step"
        raise InvalidInput("time_limit", task.time_limit, allowed, "Write time_limit: terminal.")


def check_play(task: Task, simulations: int, name: str = ACTING, *, learnt: bool = False) -> None:
    """Refuse searches at play that cannot be made.

    Args:
        task: Where.
        simulations: In each situation.
        name: Of the setting that says so.
        learnt: True for a search in a learnt model, which begins at what is seen.

    Raises:
        InvalidInput: The reward remembers what is not observed, or trees are larger than memory.
    """
    check_task(task, learnt)
    if not learnt and not recalls(task):
        reward = reward_name(task.reward)
        if name == ACTING:
            allowed = f"0 under {reward!r}, which remembers what is not observed"
            raise InvalidInput(f"settings.{name}", simulations, allowed, f"Write {name}: 0.")
        allowed = "a reward whose memory is observed, for what searches at play"
        raise InvalidInput("reward", reward, allowed)
    check_trees(task, name, simulations, ROOTS, learnt=learnt)


def check_trees(
    task: Task, name: str, simulations: int, trees: int, other: str = "", *, learnt: bool = False
) -> None:
    """Refuse trees for which there is no room.

    Args:
        task: What they are of.
        name: Of the setting that says how large they are.
        simulations: Of each.
        trees: How many.
        other: Of the setting that says how many, if there is one.
        learnt: True for trees over a learnt model.

    Raises:
        InvalidInput: They are larger than memory.
    """
    free = free_training_memory()
    sizes = task.observation_size, task.n_actions
    width = seen_width(*sizes) if learnt else handle_width(task)
    node = tree_bytes(0, width, task.n_actions) * trees
    if free is None or node * (simulations + 1) <= free:
        return
    most = free // node - 1
    told = f"trees of {node * (simulations + 1) / 2**30:,.1f} GiB, of {free / 2**30:,.1f} free"
    times = f" with {other}: {trees}" if other else ""
    if most < 1:
        raise InvalidInput(f"settings.{name}", simulations, f"smaller trees{times}: {told}")
    allowed = f"at most {most:,}{times}: {told}"
    raise InvalidInput(f"settings.{name}", simulations, allowed, f"Write {name}: {most}.")
