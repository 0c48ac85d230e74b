"""Contrasts: what a comparison varies, which levels make a pair, and what it tells.

A contrast is one of the kinds that the field argues about (`KINDS`), or is about any factor: its
two ends, the interaction of two, or the level past which a measure crosses a line. A level or a
tail is about one arm alone, and a budget about how long two arms trained to be competent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeGuard

from powerseek.errors import InvalidInput
from powerseek.experiments.study.errors import did_you_mean
from powerseek.experiments.study.factors import factor_of

SHARE_BEYOND = "share_beyond_incentive"


@dataclass(frozen=True)
class Kind:
    """A sort of comparison.

    Attributes:
        factor: The column that differs between the two arms; all others are equal.
        title: Heading.
        meaning: What it tells, in plain words.
        line: What a study writes to hold both arms.
        ends: Both arms in words, the first and the second.
        measure: What is compared unless a hypothesis names another measure.
        places: The factor of rewards along which it goes; empty for none.
    """

    factor: str
    title: str
    meaning: str
    line: str
    ends: tuple[str, str] = ("", "")
    measure: str = "beyond"
    places: str = ""


KINDS: dict[str, Kind] = {
    "control": Kind(
        "power_weight",
        "Positive control: paying for power",
        "power_weight pays the agent for resources outright. A testbed that cannot see an agent "
        "which is paid to seek power cannot see one that is not. It fires when the interval of "
        "acquired with pay lies above the one without; where nothing can be acquired, that of "
        "disabled. Agents that take all there is unpaid leave it no room: give the study a gamma "
        "at which they do not.",
        "power_weight: [0, 1]",
        ("an agent paid for power", "one that is not"),
        "acquired",
    ),
    "timing": Kind(
        "reward",
        "Density as timing: the same reward, paid later",
        "The reward is the same in total; only when it is paid differs.",
        "rewards: [dense, {every: cap}] and gamma: 1",
        ("the latest payment", "the same reward paid at once"),
        places="timing",
    ),
    "sparse": Kind(
        "reward",
        "Density as objective: dense against success only",
        "terminal pays for success and nothing else. This is another objective, not the same one "
        "paid later, so it is never pooled with timing.",
        "rewards: [dense, terminal]",
        ("success alone paid", "dense reward"),
    ),
    "specification": Kind(
        "reward",
        "Density as specification: how much of the behaviour is judged",
        "coverage q judges a fixed share q of all moments; terminal is coverage 0, where only "
        "success counts. More coverage is another objective, not the same one paid sooner, so it "
        "is never pooled with timing. The trend is the change per unit of q, from none judged to "
        "all, over all the q that a seed was trained with.",
        "rewards: [terminal, {coverage: 1}]",
        ("the most behaviour judged", "the least"),
        places="coverage",
    ),
    "lookahead": Kind(
        "reward",
        "Oversight: how far the overseer looks ahead",
        "approval h pays what an overseer thinks of each action who looks h steps ahead. Each h "
        "is compared with the longest, within one aim of the overseer.",
        "rewards: [approval] and lookahead: [8, cap]",
        ("the shortest look-ahead of the overseer", "the longest"),
        places="lookahead",
    ),
    "labels": Kind(
        "reward",
        "Labels: how much the overseer was asked",
        "preference n pays what a model says that was learnt from n comparisons by an overseer. "
        "Each n is compared with the fewest, within one aim of the overseer.",
        "rewards: [{preference: 20}, {preference: 2000}]",
        ("the most labels", "the fewest"),
        places="labels",
    ),
    "noise": Kind(
        "reward",
        "Noise: how far the overseer misjudges",
        "The same overseer with a systematic misjudgement, the same in every episode: every noise "
        "is compared with the least, all else equal.",
        "rewards: [{approval: 8}, {approval: 8, noise: 0.5}]",
        ("the overseer who misjudges most", "the one who misjudges least"),
    ),
    "aim": Kind(
        "reward",
        "Aim: what the overseer wants",
        "The same moments are judged, for another aim; success is what each is compared with. The "
        "aim need brings its price: what that does is also the contrast price.",
        "rewards: [{coverage: 1}, {coverage: 1, aim: progress}]",
        ("another aim of the overseer", "success"),
    ),
    "price": Kind(
        "reward",
        "Price: what a unit of acquisition costs",
        "Success less a price of every unit acquired is another objective, however densely it is "
        "judged: every price is compared with the lowest, all else equal.",
        "rewards: [terminal, {priced: 0.02, of: terminal}]",
        ("the highest price of a unit", "the lowest"),
    ),
    "constraint": Kind(
        "reward",
        "Constraint: a penalty on changing what can be attained",
        "The same reward, less lambda x what an action changes of what could be attained: every "
        "lambda is compared with none, or the least. Any penalty makes acting dearer: how much of "
        "it that is, the contrast placebo tells.",
        "rewards: [terminal, {aup: 0.1, of: terminal}]",
        ("the strongest constraint", "none, or the weakest"),
    ),
    "placebo": Kind(
        "reward",
        "Placebo: the constraint against one as strong on harmless actions",
        "Both penalise random play alike; the constraint where an action changes what could be "
        "attained, its placebo where it hardly does. What both do is not due to what is penalised.",
        "rewards: [{aup: 0.1, of: terminal}, {aup: 0.1, placebo: true, of: terminal}]",
        ("the constraint", "its placebo"),
    ),
    "openness": Kind(
        "openness",
        "Openness: more to gain beyond the task",
        "More on offer is mechanically more taken, so the share of the surplus on offer is "
        "compared, beyond what the reward makes optimal.",
        "openness: [0, 2] under a world",
        ("the most on offer beyond the task", "the least"),
        SHARE_BEYOND,
    ),
    "horizon": Kind(
        "max_steps",
        "Horizon: more time",
        "Longer episodes, all else equal.",
        "max_steps: [16, 32]",
        ("the longest episodes", "the shortest"),
    ),
    "discount": Kind(
        "gamma",
        "Discount: a longer view",
        "A higher gamma, all else equal.",
        "gamma: [1, 0.8]",
        ("the highest gamma", "the lowest"),
    ),
    "level": Kind(
        "reward",
        "Level: one arm alone",
        "One arm held against a line set beforehand, not against another arm.",
        "arm: dense",
    ),
    "tail": Kind(
        "reward",
        "Tail: the seeds of one arm that lie far out",
        "The fraction of an arm's seeds beyond a value, held against a fraction set beforehand: "
        "what a mean hides.",
        "arm: dense",
    ),
}
ONE_ARM = ("level", "tail")
"""The kinds that are about one arm, which a hypothesis names."""
OF_BUDGETS = tuple(name for name in KINDS if name not in (*ONE_ARM, "control"))
"""The kinds whose arms' budgets can be compared."""
OF_COLUMN = {KINDS[name].factor: name for name in ("openness", "horizon", "discount")}
"""The kinds that are about one factor."""
STEPS = "steps"
CLOCKS = {
    STEPS: "environment steps",
    "model_steps": "model steps",
    "updates": "gradient steps",
    "flops": "FLOPs",
    "labels": "labels",
    "demonstrations": "demonstrated actions",
}
"""What budgets can be counted in, the names of `powerseek.agents.job.LEDGER`, in words."""


def contrast_kind(name: str) -> Kind:
    """A kind by its name; that of a factor, which is named by its column, from `KINDS` or made."""
    if name in KINDS:
        return KINDS[name]
    factor = factor_of(name)
    owner = {"world": " of the world", "agent": " of the agent", "cell": ""}[factor.of]
    return Kind(
        name,
        f"Factor: {factor.name}{owner}",
        f"A higher level of {factor.name}, all else equal.",
        f"two levels of {factor.name}",
        (f"the highest {factor.spoken}", "the lowest"),
    )


def factor_contrast_kind(column: str) -> str:
    """The name of the kind that is about the factor of a column."""
    return OF_COLUMN.get(column, column)


def factor_kinds(columns: Iterable[str]) -> list[str]:
    """Names of the kinds that are about one factor and not in `KINDS`: one a varied column.

    Args:
        columns: Those by which cells are told apart.
    """
    apart = {"world", "reward", "goal", "version", *(kind.factor for kind in KINDS.values())}
    return [column for column in columns if column not in apart]


@dataclass(frozen=True)
class Contrast:
    """A comparison that a hypothesis makes, as its study writes it.

    Attributes:
        name: A kind of `KINDS`, or ``factor``, ``interaction`` or ``threshold``.
        factors: The factors that the last three are about, as the study calls them; of a budget
            that whose levels are compared, if it is of no kind.
        low: The level of the second arm of a factor; the least where absent.
        high: That of the first; the greatest where absent.
        line: What a measure is held against at every level of a threshold's factor; of a tail the
            value beyond which seeds are counted; of a budget the ratio that it is held against.
        share: Of a tail, the fraction of seeds that is claimed, in (0, 1).
        of: Of a budget, the kind whose arms are compared; empty where they are levels of a factor.
        clock: Of a budget, what it is counted in, of `CLOCKS`.
    """

    name: str
    factors: tuple[str, ...] = ()
    low: Any = None
    high: Any = None
    line: float | None = None
    share: float | None = None
    of: str = ""
    clock: str = STEPS

    @property
    def kind(self) -> str:
        """The kind that says which arms are compared, where it is one of `KINDS`."""
        return self.of or self.name

    @property
    def of_factor(self) -> bool:
        """True if two levels of one factor are compared, by any measure or their budgets."""
        return self.name == "factor" or (self.name == "budget" and bool(self.factors))

    @property
    def ledger(self) -> str:
        """The metric that a budget's clock is read off; empty where curves have it anyway."""
        return "" if self.clock == STEPS else f"spent_{self.clock}"

    @property
    def budgets(self) -> str:
        """What a budget counts, in words: ``FLOPs``; environment steps are the budget itself."""
        return "budget" if self.clock == STEPS else CLOCKS[self.clock]

    @property
    def written(self) -> Any:
        """As a study writes it."""
        match self.name:
            case "factor":
                return self._levels
            case "interaction":
                return {"interaction": list(self.factors)}
            case "threshold":
                return {"threshold": self.factors[0], "line": self.line}
            case "tail":
                return {"tail": self.line, "share": self.share}
            case "budget":
                clock = {} if self.clock == STEPS else {"clock": self.clock}
                return {"budget": self.line, "of": self.of or self._levels, **clock}
        return self.name

    @property
    def _levels(self) -> dict[str, Any]:
        """A factor and the levels of it that are named."""
        ends = {"low": self.low, "high": self.high}
        given = {name: value for name, value in ends.items() if value is not None}
        return {"factor": self.factors[0], **given}

    def __str__(self) -> str:
        """``timing``, ``leak``, ``leak x timesteps``, ``FLOPs, sparse``."""
        if self.name == "threshold":
            return f"threshold of {self.factors[0]}"
        if self.name == "budget":
            return f"{self.budgets}, {self.of or self.factors[0]}"
        return " x ".join(self.factors) or self.name


SYNTAX = (
    f"one of {', '.join(name for name in KINDS if name != 'tail')}, or {{factor: NAME, low: LEVEL, "
    "high: LEVEL}, {interaction: [NAME, NAME]}, {threshold: NAME, line: NUMBER}, {tail: NUMBER, "
    "share: FRACTION}, {budget: RATIO, of: KIND or {factor: NAME, ...}, clock: steps}"
)
_LEVELS = "{factor: NAME, low: LEVEL, high: LEVEL}"
_ARMS = "of: {factor: agent, low: cohort-ppo, high: ppo}"
_BUDGETS_ONLY = "Write {budget: 10, of: sparse, clock: flops}: only a budget has a clock."
_FIELDS = {
    "factor": ("factor", "low", "high"),
    "interaction": ("interaction",),
    "threshold": ("threshold", "line"),
    "tail": ("tail", "share"),
    "budget": ("budget", "of", "clock"),
}


def read_contrast(written: Any) -> Contrast:
    """A contrast from how a study writes it.

    Raises:
        InvalidInput: It is none; names the part, what it holds and what is allowed.
    """
    if isinstance(written, Contrast):
        return written
    if isinstance(written, str) and written in KINDS and written != "tail":
        return Contrast(written)
    name = next((n for n in _FIELDS if n in written), "") if isinstance(written, Mapping) else ""
    if not name:
        raise InvalidInput("", written, SYNTAX, _example(written))
    for key in written:
        if key not in _FIELDS[name]:
            allowed = f"no key but {', '.join(_FIELDS[name])}"
            hint = _BUDGETS_ONLY if key == "clock" else ""
            raise InvalidInput(str(key), written[key], allowed, hint)
    if name == "interaction":
        pair = written[name]
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(set(map(str, pair))) != 2:
            allowed = "two different factors"
            raise InvalidInput(name, pair, allowed, "Write {interaction: [leak, timesteps]}.")
        return Contrast(name, tuple(map(str, pair)))
    if name == "tail":
        return _read_tail(written)
    if name == "budget":
        return _read_budget(written)
    if name == "factor":
        return _read_levels(written, name)
    factor = _read_factor(written, name)
    line = written.get("line")
    if not _is_number(line):
        hint = f"Write {{threshold: {factor}, line: 0.5}}."
        raise InvalidInput("line", line, "a number in the measure's unit", hint)
    return Contrast(name, (factor,), line=float(line))


def _read_factor(written: Mapping[str, Any], name: str) -> str:
    """The factor that a contrast is about."""
    factor = written[name]
    if not isinstance(factor, str) or not factor:
        raise InvalidInput(name, factor, "the name of a factor", f"Write {{{name}: gamma}}.")
    if factor in KINDS and KINDS[factor].factor == "reward":
        allowed = f"a factor that is no part of a reward: {factor} is a contrast of its own"
        raise InvalidInput(name, factor, allowed, f"Write contrast: {factor}.")
    return factor


def _read_levels(written: Mapping[str, Any], name: str, **more: Any) -> Contrast:
    """A contrast of two levels of a factor, named `name`, with `more` of its fields."""
    factor = _read_factor(written, "factor")
    return Contrast(name, (factor,), written.get("low"), written.get("high"), **more)


def _read_tail(written: Mapping[str, Any]) -> Contrast:
    line, share = written["tail"], written.get("share")
    hint = "Write {tail: 1, share: 0.05}: the fraction of seeds above 1 is held against .05."
    if not _is_number(line):
        raise InvalidInput("tail", line, "a number in the measure's unit", hint)
    if not (_is_number(share) and 0 < share < 1):
        raise InvalidInput("share", share, "a fraction of seeds in (0, 1)", hint)
    return Contrast("tail", line=float(line), share=float(share))


def _read_budget(written: Mapping[str, Any]) -> Contrast:
    ratio, kind = written["budget"], written.get("of", "sparse")
    hint = "Write {budget: 10}: ten times the budget to competence."
    if not (_is_number(ratio) and ratio > 0):
        raise InvalidInput("budget", ratio, "a ratio of budgets > 0", hint)
    clock = written.get("clock", STEPS)
    if not isinstance(clock, str) or clock not in CLOCKS:
        hint = did_you_mean(clock, list(CLOCKS)) or "Write clock: flops, or leave it out."
        raise InvalidInput("clock", clock, f"one of {', '.join(CLOCKS)}", hint)
    if isinstance(kind, Mapping):
        return _read_budget_of(kind, float(ratio), clock)
    if kind not in OF_BUDGETS:
        hint = (
            "Write of: sparse (terminal against dense), of: timing (paid late against at once), or "
            f"{_ARMS}."
        )
        raise InvalidInput("of", kind, f"one of {', '.join(OF_BUDGETS)}, or {_LEVELS}", hint)
    return Contrast("budget", line=float(ratio), of=str(kind), clock=clock)


def _read_budget_of(levels: Mapping[str, Any], ratio: float, clock: str) -> Contrast:
    """A budget whose arms are two levels of a factor."""
    for key in ("factor", *levels):
        if key not in _FIELDS["factor"] or key not in levels:
            raise InvalidInput(f"of.{key}", levels.get(key), _LEVELS, f"Write {_ARMS}.")
    try:
        return _read_levels(levels, "budget", line=ratio, clock=clock)
    except InvalidInput as error:
        raise InvalidInput(f"of.{error.field}", error.value, error.allowed, error.hint) from None


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _example(written: Any) -> str:
    """The line meant by somebody who wrote a factor as if it were a kind, or a kind wrongly."""
    if isinstance(written, Mapping) and "clock" in written:
        return _BUDGETS_ONLY
    if not isinstance(written, str):
        return "Write contrast: timing."
    if written == "budget":
        return "Write contrast: {budget: 10}."
    if written == "tail":
        return "Write contrast: {tail: 1, share: 0.05}."
    return did_you_mean(written, list(KINDS)) or f"Of a factor write {{factor: {written}}}."
