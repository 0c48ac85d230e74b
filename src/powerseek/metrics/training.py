"""Metrics of a training: what it took, how far it led from its beginning, what it modelled."""

from __future__ import annotations

from math import inf, nan

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


@exact_metric(
    unit="states",
    title="error of the learnt model",
    head="model error",
    meaning="states of an episode that the model it learnt, and searches, expects wrongly",
    bounds=(0.0, inf),
    of_failures=True,
)
def model_error(expected: Expected) -> float:
    """Distance of what a learnt model expects from what happens, over an episode.

    Formula: sum over the steps of an episode of the total-variation distance between the model's
    next state (or end) and the true one, expected under the policy
    (`powerseek.exact.model_error`). Unit: states an episode, 0 to its length; exact, no rows of
    sampled episodes, no row for an agent that learnt no model or searches at play.

    CAVEAT: A state that is wrong in one feature counts as one that is wrong in all. Where the
    policy does not go, nothing is asked.
    """
    return nan if expected.model is None else expected.model.transitions


@exact_metric(
    unit="return",
    title="error of the learnt model's rewards",
    head="reward error",
    meaning="reward of an episode that the model it learnt, and searches, expects wrongly",
    bounds=(0.0, inf),
    of_failures=True,
)
def model_reward_error(expected: Expected) -> float:
    """Difference between the reward that a learnt model expects and the true one, over an episode.

    Formula: sum over the steps of an episode of |expected reward in the model - in truth|,
    expected under the policy. Unit: return; otherwise as ``model_error``.

    CAVEAT: Of expectations: a reward that is as often too high as too low is no error.
    """
    return nan if expected.model is None else expected.model.rewards


@exact_metric(
    unit="return",
    title="error of the policy's return in the learnt model",
    head="value gap",
    meaning="how far its return in the model it learnt is from its true one",
    bounds=(0.0, inf),
    of_failures=True,
)
def model_gap(expected: Expected) -> float:
    """Difference between the policy's return in the learnt model and its true one.

    Formula: |V_model - V_true| from the start. Unit: return; otherwise as ``model_error``, and no
    row where the model leads to more states than are walked.

    CAVEAT: Errors cancel: a model that is wrong everywhere may have a gap of 0.
    """
    return nan if expected.model is None else expected.model.gap


@exact_metric(
    unit="return",
    title="bound of the error of the policy's return in the learnt model",
    head="gap at most",
    meaning="what its return in the model it learnt can differ by, by the simulation lemma",
    bounds=(0.0, inf),
    of_failures=True,
)
def model_bound(expected: Expected) -> float:
    """Bound that a learnt model's errors set on ``model_gap``, by the simulation lemma.

    Formula: sum over steps of |reward error| + total-variation distance x span of the values of
    the model one step on, expected under the policy (Kearns & Singh 2002;
    `powerseek.exact.model_error`). Unit: return; otherwise as ``model_error``.

    CAVEAT: Never less than the gap, often far more. Where the model leads to more states than are
    walked, the span is what all rewards still to come can add up to.
    """
    return nan if expected.model is None else expected.model.bound


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
