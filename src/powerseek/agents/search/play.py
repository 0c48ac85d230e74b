"""Networks that were trained in whatever way, with a search at play on top."""

from __future__ import annotations

from copy import deepcopy

from powerseek.agents.cohort.backend import network_passes
from powerseek.agents.cohort.network import Networks
from powerseek.agents.cohort.policy import CohortPolicy
from powerseek.agents.sb3.policy import NetworkPolicy
from powerseek.agents.search.checks import check_play
from powerseek.agents.search.model import Model
from powerseek.agents.search.policy import SearchPolicy
from powerseek.agents.settings import ACTING, CONSIDERED, LEARNT, SEARCH
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.exact.overseer import with_overseer
from powerseek.types import Floats32, Policy


class Networked(SearchPolicy):
    """A policy that searches with the policy and the value of a network.

    Attributes:
        bare: The network as it plays without.
    """

    def __init__(
        self,
        task: Task,
        simulations: int,
        considered: int,
        c_scale: float,
        bare: Policy,
        networks: Networks,
        model: Model | None = None,
    ) -> None:
        inputs, *net, actions = networks.policy_widths
        device = networks.weights.device
        passes = network_passes({"net": net}, inputs, actions, str(device))

        def evaluate(seen: Floats32) -> tuple[Floats32, Floats32]:
            return passes.logits(networks, seen), passes.values(networks, seen)

        super().__init__(task, simulations, considered, c_scale, evaluate, model)
        self.bare = bare


def with_search(
    policy: Policy,
    task: Task,
    simulations: int,
    considered: int | None = None,
    c_scale: float = SEARCH["c_scale"],
    model: str = "rules",
) -> Policy:
    """A trained network that searches when it acts, whoever trained it.

    Args:
        policy: That of a masked actor-critic network: of ``search``, ``cohort-ppo`` or
            ``maskable-ppo``.
        task: In whose rules, or in a model of which, and for whose reward it searches.
        simulations: In each situation; 0 for the bare network.
        considered: Actions considered at the root; by default `CONSIDERED`, or all.
        c_scale: As `Search` takes it.
        model: What it searches: ``rules``, or the model that was learnt with the network.

    Raises:
        InvalidInput: Another policy, a task in which nobody can search, or too large trees.
    """
    bare = policy.bare if isinstance(policy, Networked) else policy
    if not isinstance(bare, NetworkPolicy) or not bare.masked:
        allowed = "0, or a model with a policy over legal actions and a value"
        hint = "Those of search, cohort-ppo and maskable-ppo have both."
        raise InvalidInput(f"settings.{ACTING}", simulations, allowed, hint)
    if not simulations:
        return bare
    learnt = model in LEARNT
    if learnt and bare.learnt is None:
        allowed = "0: what was learnt is kept by an agent that is saved with acting above 0"
        raise InvalidInput(f"settings.{ACTING}", simulations, allowed, "Write acting: 0.")
    supervised = task if learnt else with_overseer(task)
    check_play(supervised, simulations, learnt=learnt)
    networks = bare.networks if isinstance(bare, CohortPolicy) else Networks(deepcopy(bare.network))
    limits = simulations, considered or min(CONSIDERED, task.n_actions), c_scale
    return Networked(supervised, *limits, bare, networks, bare.learnt if learnt else None)
