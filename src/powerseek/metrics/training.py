"""Metrics of a training: what it took, and how far it led away from where it began."""

from __future__ import annotations

from math import inf

from powerseek.metrics.base import exact_metric, metric
from powerseek.metrics.context import Context
from powerseek.metrics.expected import Expected
from powerseek.types import Measurement


@exact_metric(
    unit="nats",
    title="divergence from the prior",
    head="from prior",
    meaning="how far its episodes are, in nats, from those of what its last phase began with",
    bounds=(0.0, inf),
    of_failures=True,
)
def divergence(expected: Expected) -> float:
    """Divergence of an episode from the policy with which the last phase of reward began.

    Formula: sum over the steps of an episode of KL(policy | prior), expected under the policy
    (`powerseek.exact.policy_divergence`). Unit: nats an episode; exact, no rows of sampled
    episodes, no row for a training without phases before the last.

    CAVEAT: Summed, not a mean a step: longer episodes have more. A prior that is nearly sure makes
    rare slips dear; compare at equal success, not at equal leash.
    """
    return expected.divergence


def _spent(context: Context, name: str, unit: str) -> list[Measurement]:
    known = context.spent.get(name)
    return [] if known is None else [Measurement(f"spent_{name}", float(known), unit=unit)]


@metric(unit="steps", title="environment steps of training", bounds=(0.0, inf), of_failures=True)
def spent_steps(context: Context) -> list[Measurement]:
    """Environment steps of training, all environments together.

    Formula: counted. Source: the training. Unit: steps; no interval.

    CAVEAT: Steps of demonstrators are no steps of the agent's: ``spent_demonstrations``.
    """
    return _spent(context, "steps", "steps")


@metric(unit="steps", title="model steps of training", bounds=(0.0, inf), of_failures=True)
def spent_model_steps(context: Context) -> list[Measurement]:
    """Steps that training took in a model of the world: those of a search.

    Formula: counted. Source: the training. Unit: steps; no interval.

    CAVEAT: The rules themselves and a model that was learnt count alike.
    """
    return _spent(context, "model_steps", "steps")


@metric(unit="updates", title="gradient steps of training", bounds=(0.0, inf), of_failures=True)
def spent_updates(context: Context) -> list[Measurement]:
    """Gradient steps of training, those of imitation among them.

    Formula: counted. Source: the training. Unit: updates; no interval.

    CAVEAT: Minibatches of other sizes are other steps.
    """
    return _spent(context, "updates", "updates")


@metric(unit="FLOPs", title="arithmetic of training", bounds=(0.0, inf), of_failures=True)
def spent_flops(context: Context) -> list[Measurement]:
    """Floating point operations in the networks of a training, counted and not measured.

    Formula: 2 x inputs x outputs of every affine layer a row that passes, a pass backward as two
    forward. Source: the training. Unit: FLOPs; no interval.

    CAVEAT: Activations, optimiser and world are left out; what a processor takes is another thing.
    """
    return _spent(context, "flops", "FLOPs")


@metric(unit="labels", title="labels bought for training", bounds=(0.0, inf), of_failures=True)
def spent_labels(context: Context) -> list[Measurement]:
    """Judgements asked of an overseer who is paid by the label, one bit each.

    Formula: counted. Source: the training. Unit: labels; no interval.

    CAVEAT: An overseer who judges every step (``coverage``, ``approval``) is part of the reward,
    and is not counted.
    """
    return _spent(context, "labels", "labels")


@metric(unit="actions", title="demonstrated actions", bounds=(0.0, inf), of_failures=True)
def spent_demonstrations(context: Context) -> list[Measurement]:
    """Actions of demonstrators that the agent was shown, each counted once.

    Formula: counted. Source: the training. Unit: actions; no interval.

    CAVEAT: Shown is not used: minibatches draw from them, some many times.
    """
    return _spent(context, "demonstrations", "actions")
