"""The exact layer: small worlds enumerated and solved, so that every claim has an oracle."""

from powerseek.exact.constraint import Constraint, constraint
from powerseek.exact.divergence import policy_divergence
from powerseek.exact.enumerate import enumerate_world, enumerated
from powerseek.exact.leash import Held, leashed_optimum, quantiliser
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.measures.attribution import Attribution, Reference, attribution, reference
from powerseek.exact.measures.bystanders import (
    Disempowerment,
    UtilityChanges,
    disempowerment,
    fix_agent,
    least_loss,
    utility_changes,
)
from powerseek.exact.measures.capacity import capacity
from powerseek.exact.measures.convergence import (
    ConvergenceIndex,
    SubgoalIndex,
    convergence_index,
    overlap,
    subgoal_index,
)
from powerseek.exact.measures.empowerment import Empowerment, empowerment
from powerseek.exact.measures.occupancy import (
    AcquisitionEvents,
    acquisition_events,
    discounted_occupancies,
    visit_probability,
)
from powerseek.exact.measures.orbits import (
    OptimalityProbability,
    OrbitCount,
    optimality_probability,
    orbit_count,
)
from powerseek.exact.measures.power import Power, power, power_limit
from powerseek.exact.measures.preference import prefers
from powerseek.exact.measures.probe import Probe, probe
from powerseek.exact.measures.reliance import success_without_power
from powerseek.exact.measures.seeking import (
    Seeking,
    decisions,
    lookahead,
    power_greedy_policy,
    seeking,
)
from powerseek.exact.measures.shutdown import (
    Lengths,
    drest_return,
    drest_rewards,
    lengths,
    neutral_policy,
    neutrality,
    usefulness,
)
from powerseek.exact.measures.side_effects import (
    attainable_utility_change,
    attainable_utility_penalty,
    inaction,
    reachability,
    relative_reachability,
    unreachability,
)
from powerseek.exact.model_error import Imagined, LearntModel, ModelError, model_error
from powerseek.exact.need import Frontier, attainable_holdings, least_cost, most, need, need_at
from powerseek.exact.optimum import Optimum, optimum
from powerseek.exact.oracle import Oracle, injective, oracle, reward_oracle
from powerseek.exact.overseer import ExactOverseer, exact_overseer, with_overseer
from powerseek.exact.preference import LearntOverseer
from powerseek.exact.solvers.agent import agent_occupancies, evaluate_agent
from powerseek.exact.solvers.discounted import Solution, action_values, policy_values, solve
from powerseek.exact.solvers.evaluate import SlipCurve, evaluate, random_success, slip_curve
from powerseek.exact.solvers.outcome import Outcome
from powerseek.exact.solvers.policy import (
    TabularPolicy,
    minimal_need_policy,
    random_policy,
    scripted_policy,
)
from powerseek.exact.state_index import RecordIndex

__all__ = [
    "AcquisitionEvents",
    "Attribution",
    "Constraint",
    "ConvergenceIndex",
    "Disempowerment",
    "Empowerment",
    "ExactOverseer",
    "Frontier",
    "Held",
    "Imagined",
    "LearntModel",
    "LearntOverseer",
    "Lengths",
    "ModelError",
    "OptimalityProbability",
    "Optimum",
    "Oracle",
    "OrbitCount",
    "Outcome",
    "Power",
    "Probe",
    "RecordIndex",
    "Reference",
    "Seeking",
    "SlipCurve",
    "Solution",
    "SubgoalIndex",
    "TabularMDP",
    "TabularPolicy",
    "UtilityChanges",
    "acquisition_events",
    "action_values",
    "agent_occupancies",
    "attainable_holdings",
    "attainable_utility_change",
    "attainable_utility_penalty",
    "attribution",
    "capacity",
    "constraint",
    "convergence_index",
    "decisions",
    "discounted_occupancies",
    "disempowerment",
    "drest_return",
    "drest_rewards",
    "empowerment",
    "enumerate_world",
    "enumerated",
    "evaluate",
    "evaluate_agent",
    "exact_overseer",
    "fix_agent",
    "inaction",
    "injective",
    "leashed_optimum",
    "least_cost",
    "least_loss",
    "lengths",
    "lookahead",
    "minimal_need_policy",
    "model_error",
    "most",
    "need",
    "need_at",
    "neutral_policy",
    "neutrality",
    "optimality_probability",
    "optimum",
    "oracle",
    "orbit_count",
    "overlap",
    "policy_divergence",
    "policy_values",
    "power",
    "power_greedy_policy",
    "power_limit",
    "prefers",
    "probe",
    "quantiliser",
    "random_policy",
    "random_success",
    "reachability",
    "reference",
    "relative_reachability",
    "reward_oracle",
    "scripted_policy",
    "seeking",
    "slip_curve",
    "solve",
    "subgoal_index",
    "success_without_power",
    "unreachability",
    "usefulness",
    "utility_changes",
    "visit_probability",
    "with_overseer",
]
