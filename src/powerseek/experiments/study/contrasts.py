"""Contrasts: what a comparison varies, which levels make a pair, and what it tells.

A contrast is one of the kinds that the field argues about (`KINDS`), or is about any factor: its
two ends, the interaction of two, or the level past which a measure crosses a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeAlias

from powerseek.envs.rewards.spec import Place
from powerseek.envs.rewards.timing import CORRECTED
from powerseek.errors import InvalidInput
from powerseek.experiments.study.errors import closest
from powerseek.experiments.study.factors import Level, factor_of, level_in, ordered, rank

Arms: TypeAlias = tuple[Level, Level]
Places: TypeAlias = Mapping[str, Place]
"""Where rewards lie on the factors of rewards, by label; of those that lie on one."""

SHARE_BEYOND = "share_beyond_incentive"


@dataclass(frozen=True)
class Kind:
    """A sort of comparison.

    Attributes:
        dial: The column that differs between the two arms; all others are equal.
        title: Heading.
        meaning: What it tells, in plain words.
        line: What a study writes to hold both arms.
        ends: Both arms in words, the first and the second.
        measure: What is compared unless a hypothesis names another measure.
        places: The factor of rewards along which it goes; empty for none.
    """

    dial: str
    title: str
    meaning: str
    line: str
    ends: tuple[str, str] = ("", "")
    measure: str = "excess"
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
}
OF_COLUMN = {KINDS[name].dial: name for name in ("openness", "horizon", "discount")}
"""The kinds that are about one factor."""


def kind_of(name: str) -> Kind:
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


def kind_along(column: str) -> str:
    """The name of the kind that is about the factor of a column."""
    return OF_COLUMN.get(column, column)


def factor_kinds(columns: Iterable[str]) -> list[str]:
    """Names of the kinds that are about one factor and not in `KINDS`: one a varied column.

    Args:
        columns: Those by which cells are told apart.
    """
    apart = {"world", "reward", "goal", "version", *(kind.dial for kind in KINDS.values())}
    return [column for column in columns if column not in apart]


@dataclass(frozen=True)
class Contrast:
    """What a hypothesis compares, as its study writes it.

    Attributes:
        name: A kind of `KINDS`, or ``factor``, ``interaction`` or ``threshold``.
        factors: The factors that the last three are about, as the study calls them.
        low: The level of the second arm of a factor; the least where absent.
        high: That of the first; the greatest where absent.
        line: What a measure is held against at every level of a threshold's factor.
    """

    name: str
    factors: tuple[str, ...] = ()
    low: Any = None
    high: Any = None
    line: float | None = None

    @property
    def written(self) -> Any:
        """As a study writes it."""
        match self.name:
            case "factor":
                ends = {"low": self.low, "high": self.high}
                given = {name: value for name, value in ends.items() if value is not None}
                return {"factor": self.factors[0], **given}
            case "interaction":
                return {"interaction": list(self.factors)}
            case "threshold":
                return {"threshold": self.factors[0], "line": self.line}
        return self.name

    def __str__(self) -> str:
        """``timing``, ``leak``, ``leak x timesteps``, ``threshold of power_weight``."""
        if self.name == "threshold":
            return f"threshold of {self.factors[0]}"
        return " x ".join(self.factors) or self.name


SYNTAX = (
    f"one of {', '.join(KINDS)}, or {{factor: NAME, low: LEVEL, high: LEVEL}}, "
    "{interaction: [NAME, NAME]}, {threshold: NAME, line: NUMBER}"
)
_FIELDS = {
    "factor": ("factor", "low", "high"),
    "interaction": ("interaction",),
    "threshold": ("threshold", "line"),
}


def read_contrast(written: Any) -> Contrast:
    """A contrast from how a study writes it.

    Raises:
        InvalidInput: It is none; names the part, what it holds and what is allowed.
    """
    if isinstance(written, Contrast):
        return written
    if isinstance(written, str) and written in KINDS:
        return Contrast(written)
    name = next((n for n in _FIELDS if n in written), "") if isinstance(written, Mapping) else ""
    if not name:
        raise InvalidInput("", written, SYNTAX, _example(written))
    for key in written:
        if key not in _FIELDS[name]:
            raise InvalidInput(str(key), written[key], f"no key but {', '.join(_FIELDS[name])}")
    if name == "interaction":
        pair = written[name]
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(set(map(str, pair))) != 2:
            allowed = "two different factors"
            raise InvalidInput(name, pair, allowed, "Write {interaction: [leak, timesteps]}.")
        return Contrast(name, tuple(map(str, pair)))
    factor = written[name]
    if not isinstance(factor, str) or not factor:
        raise InvalidInput(name, factor, "the name of a factor", f"Write {{{name}: gamma}}.")
    if name == "factor":
        return Contrast(name, (factor,), written.get("low"), written.get("high"))
    line = written.get("line")
    number = isinstance(line, int | float) and not isinstance(line, bool) and isfinite(line)
    if not number:
        hint = f"Write {{threshold: {factor}, line: 0.5}}."
        raise InvalidInput("line", line, "a number in the measure's unit", hint)
    return Contrast(name, (factor,), line=float(line))


def _example(written: Any) -> str:
    """What somebody meant who wrote a factor as if it were a kind, or a kind wrongly."""
    if not isinstance(written, str):
        return "Write contrast: timing."
    return closest(written, list(KINDS)) or f"Of a factor write {{factor: {written}}}."


def arms(name: str, values: Iterable[Level], places: Places) -> list[Arms]:
    """Pairs (a, b) of levels of a kind's dial to compare, b the one compared with.

    Args:
        name: Kind of comparison.
        values: What the dial takes in one setting; rewards as results write them.
        places: Of the rewards.
    """
    known = _known(values)
    if name == "level":
        return []  # Of one arm, which a hypothesis names: see `primary`.
    if name == "timing":
        delayed = [(v, undelayed(v, known, places)) for v in known if _delay(v, places) > 1]
        return [(v, at_once) for v, at_once in delayed if at_once is not None]
    if name == "sparse":
        return [("terminal", "dense")] if {"terminal", "dense"} <= set(known) else []
    if name == "specification":
        return [(q, own[0]) for own in families("coverage", known, places) for q in own[1:]]
    if name == "lookahead":
        return [(h, own[-1]) for own in families("lookahead", known, places) for h in own[:-1]]
    levels = ordered(known)
    if name == "control":
        return [(w, 0.0) for w in levels if (rank(w) or 0) > 0 and 0.0 in levels]
    return [(value, levels[0]) for value in levels[1:]]


def primary(
    name: str,
    values: Iterable[Level],
    places: Places,
    gamma: float = 1.0,
    arm: Level = None,
) -> list[Arms]:
    """The pairs that a hypothesis is about: the two ends of the dial.

    For timing the longest delay, at gamma 1 or discount-corrected: else paying later also pays
    less. Several only where a setting holds several overseers (aim, spare).

    Args:
        name: Kind of comparison.
        values: What the dial takes in one setting.
        places: Of the rewards.
        gamma: The setting's discount.
        arm: The arm that a level is about; its pair is (arm, None).
    """
    known = _known(values)
    if name == "level":
        return [(arm, None)] if arm in known else []
    pairs = arms(name, known, places)
    if name == "timing":
        fair = [pair for pair in pairs if not confounded(pair[0], places, gamma)]

        def latest(pair: Arms) -> tuple[float, bool]:
            return -_delay(pair[0], places), _is_corrected(pair[0], places)

        return sorted(fair, key=latest)[:1]
    if name == "specification":
        return [(own[-1], own[0]) for own in families("coverage", known, places)]
    if name == "lookahead":
        return [(own[0], own[-1]) for own in families("lookahead", known, places)]
    return pairs[-1:]


def scales(columns: Sequence[str], records: Iterable[Mapping[str, Level]]) -> list[list[Level]]:
    """Every level of some factors in a world, rising; empty where they have no order.

    Of two factors only levels that the world crosses with two or more of the other.

    Args:
        columns: The columns of the factors.
        records: The levels of each of the world's cells, by column.
    """
    found = dict.fromkeys(tuple(record.get(column) for column in columns) for record in records)
    if len(columns) == 2:
        for side in (0, 1):
            others: dict[Level, set[Level]] = {}
            for levels in found:
                others.setdefault(levels[side], set()).add(levels[1 - side])
            found = {levels: None for levels in found if len(others[levels[side]]) > 1}
    return [ordered(levels[i] for levels in found) for i in range(len(columns))]


def compared(
    contrast: Contrast,
    levels: Iterable[Any],
    places: Places,
    *,
    columns: Sequence[str],
    scales: Sequence[Sequence[Level]] = (),
    gamma: float = 1.0,
    arm: Level = None,
) -> list[tuple[Any, ...]]:
    """What a contrast compares in one setting: the levels of each comparison's arms.

    Args:
        contrast: The contrast.
        levels: What its dial takes in the setting; of an interaction both levels of each cell.
        places: Of the rewards.
        columns: The columns that differ.
        scales: Of each of these its levels in the world, from `scales`.
        gamma: The setting's discount.
        arm: The arm that a level is about.

    Returns:
        (a, b) for most; of an interaction (high, high), (low, high), (high, low), (low, low); of a
        threshold all levels, rising.
    """
    known = list(levels)
    if contrast.name == "factor":
        low, high = (
            scale[end] if given is None else level_in(columns[0], given)
            for given, end, scale in (
                (contrast.low, 0, scales[0] or (None,)),
                (contrast.high, -1, scales[0] or (None,)),
            )
        )
        return [(high, low)] if low in known and high in known and low != high else []
    if contrast.name == "interaction":
        if not all(len(scale) > 1 for scale in scales):
            return []
        (low, high), (least, most) = ((scale[0], scale[-1]) for scale in scales)
        corners = (high, most), (low, most), (high, least), (low, least)
        return [corners] if set(corners) <= set(known) else []
    if contrast.name == "threshold":
        rising = ordered(known)
        return [tuple(rising)] if len(rising) > 1 else []
    return list(primary(contrast.name, known, places, gamma, arm))


def confounded(reward: Level, places: Places, gamma: float) -> bool:
    """Whether a delayed reward also pays less because of the discount."""
    return gamma < 1 and not _is_corrected(reward, places)


def share_judged(reward: Level, places: Places) -> float:
    """The q of a reward on the factor ``coverage``; nan for one that is on none."""
    place = _place(reward, places)
    return place.level if place is not None and place.factor == "coverage" else float("nan")


def families(factor: str, values: Iterable[Level], places: Places) -> list[list[Level]]:
    """Rewards along a factor, level rising: one list for each family, two or more long.

    Coverage 0 and terminal are one treatment: neither knows an overseer, so it is the low end for
    all families of coverage.
    """
    known = [v for v in _known(values) if (p := _place(v, places)) and p.factor == factor]
    none = [v for v in known if factor == "coverage" and places[str(v)].level == 0]
    none = sorted(none, key=lambda v: str(v) == "terminal")[:1]
    found: dict[str, dict[float, Level]] = {}
    for value in known:
        place = places[str(value)]
        if not (factor == "coverage" and place.level == 0):
            found.setdefault(place.family, dict.fromkeys((0.0,), none[0]) if none else {})
            found[place.family][place.level] = value
    return [[own[at] for at in sorted(own)] for own in found.values() if len(own) > 1]


def undelayed(reward: Level, values: Iterable[Level], places: Places) -> Level:
    """The same reward paid at once, where it is among some; corrected for discount or not."""
    place = places[str(reward)]
    plain = place.family.removesuffix(CORRECTED).removesuffix(", ")
    for family in dict.fromkeys((place.family, plain)):
        for value in values:
            other = _place(value, places)
            if other is not None and other == ("timing", other.level, family) and other.level <= 1:
                return value
    return None


def _place(value: Level, places: Places) -> Place | None:
    return places.get(str(value))


def _delay(value: Level, places: Places) -> float:
    """Steps between payments; 0 of what is on no factor of timing."""
    place = _place(value, places)
    return place.level if place is not None and place.factor == "timing" else 0.0


def _is_corrected(value: Level, places: Places) -> bool:
    place = _place(value, places)
    return place is not None and place.family.endswith(CORRECTED)


def _known(values: Iterable[Level]) -> list[Level]:
    """Each value once, in order; missing ones (None, nan) left out."""
    return list(dict.fromkeys(v for v in values if v is not None and v == v))
