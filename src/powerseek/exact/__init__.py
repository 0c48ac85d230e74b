"""The exact layer: small worlds enumerated and solved, so that every claim has an oracle."""

from powerseek.exact.discounted import Solution, action_values, policy_values, solve
from powerseek.exact.enumerate import RecordIndex, enumerate_world
from powerseek.exact.evaluate import SlipCurve, evaluate, slip_curve
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.need import Frontier, attainable_holdings, most, need
from powerseek.exact.optimum import Optimum, optimum
from powerseek.exact.oracle import Oracle, arm_oracle, enumerated, injective, oracle
from powerseek.exact.outcome import Outcome
from powerseek.exact.policy import (
    TabularPolicy,
    minimal_need_policy,
    random_policy,
    scripted_policy,
)
from powerseek.exact.power import Power, power, power_limit
from powerseek.exact.seeking import Seeking, lookahead, power_greedy_policy, seeking

__all__ = [
    "Frontier",
    "Optimum",
    "Oracle",
    "Outcome",
    "Power",
    "RecordIndex",
    "Seeking",
    "SlipCurve",
    "Solution",
    "TabularMDP",
    "TabularPolicy",
    "action_values",
    "arm_oracle",
    "attainable_holdings",
    "enumerate_world",
    "enumerated",
    "evaluate",
    "injective",
    "lookahead",
    "minimal_need_policy",
    "most",
    "need",
    "optimum",
    "oracle",
    "policy_values",
    "power",
    "power_greedy_policy",
    "power_limit",
    "random_policy",
    "scripted_policy",
    "seeking",
    "slip_curve",
    "solve",
]
