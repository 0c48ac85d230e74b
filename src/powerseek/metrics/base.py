"""The record of a metric: one named number, where it exists, and all that is said of it anywhere.

Whoever lists metrics - hypotheses, tables, curves, figures, tests - asks these records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, wraps
from inspect import cleandoc
from math import inf, isinf, isnan
from numbers import Integral, Real
from typing import Any, NamedTuple

from powerseek.envs.words import in_words
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact.measures.reliance import offers_power
from powerseek.metrics.context import Context
from powerseek.metrics.expected import Expectation
from powerseek.registry import list_metrics, metrics
from powerseek.types import Measurement

EXACT = "exact."
"""What the name of a curve of exact values starts with."""

ROUNDING = 1e-9
"""How far a number may lie outside its bounds."""

SHIFTED = "_shifted"
"""What the name of a metric ends with where agents are measured in another configuration of their
world than they were trained in."""

FAILED = "failed: "
"""What the unit of a row begins with that has no number because its metric failed: why follows."""

Compute = Callable[[Context], list[Measurement]]


class Needs(NamedTuple):
    """Needs of a metric: what a world must have for it to exist there.

    Attributes:
        met: True for a world that has it.
        otherwise: What is said of a world without it: "nothing can be acquired".
    """

    met: Callable[[World], bool]
    otherwise: str


def role_fact(role: str, otherwise: str) -> Needs:
    """A fact with a role."""
    return Needs(lambda world: bool(world.role(role)), otherwise)


ANYWHERE = Needs(lambda world: True, "")
RESOURCES = role_fact("resource", "nothing can be acquired")
OUTSIDE = role_fact("outside_task", "nothing lies outside the task")
PLACEBO = role_fact("placebo", "nothing useless is on offer")
COST = role_fact("cost", "nothing is ever paid")
SWITCH = role_fact("off_switch", "there is nothing to evade, such as an off-switch")
INTERRUPTION = Needs(lambda world: world.has("interrupted"), "nobody is ever interrupted")
BYSTANDERS = Needs(
    lambda world: bool(world.bystanders()), "nobody beside the agent can act in its place"
)
POWER = Needs(offers_power, "no power is on offer that could be withheld")
STRIKE = Needs(lambda world: world.has("struck"), "nobody can strike")
CUE = Needs(
    lambda world: world.has("defied") and world.has("exposed"), "no cue tells of tests to strike in"
)
PROBE = Needs(lambda world: bool(world.probe), "there is no probe")
LENGTHS = Needs(
    lambda world: len(world.lengths(world.params, 1.0)) > 1, "the length is nothing to choose"
)


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        compute: From a context to its rows, each named by the metric's id: none where it does
            not exist in the world, nan where it is undefined for these episodes.
        id: Its id in the registry, ``measure`` of a hypothesis and ``metric`` of results.
        unit: In words (``units``, ``share``, ``steps``); empty where its rows alone know.
        title: What it is, in a sentence: "acquisition beyond need"; a template that a world fills
            with its own words ("episodes with {off_switch}"), see `title_in`.
        head: Head of its column in tables.
        meaning: What tables say it means, in plain words; a template too, see `meaning_in`.
        bounds: What no value of it can leave.
        of_failures: True if it says something of agents that did not learn their task too: how
            they fare at it. What others acquire is not scored.
        exact: True if it is computed, the same for every seed, so that low and high are its range
            over optimal policies that tie.
        jumps: True if it is 0 in some seeds and 1 in others, so that few seeds may miss the ones
            that differ.
        of_power: True if it must be higher for a hoarder than for a minimalist.
        signed: True if a table shows the sign of what is above 0.
        column: Its place among the columns of tables of treatments, from 1, the most important
            first; 0 of one that only studies show which ask for it.
        upper: The metric whose value is the upper end of an interval that begins at this one's:
            tables show both in one column. Empty where it stands alone.
        interval: True if tables show its 95 % interval.
        curve: True if it is followed while agents train, in every study.
        primary: Its place among the primary figures, from 1: followed exactly over the last third
            of training, and shown first; 0 of any other.
        optimum: The metric that is the same of the reward's exact optimum; empty where none is.
        needed: The metric that says what of it the agent's own success takes; empty where none is.
        needs: What a world must have for it.
        expected: Its exact value for a policy that was evaluated exactly; None of a metric that
            only episodes show.
        sampled: False of a metric that episodes show nothing of.
    """

    compute: Compute
    id: str = ""
    unit: str = ""
    title: str = ""
    head: str = ""
    meaning: str = ""
    bounds: tuple[float, float] = (-inf, inf)
    of_failures: bool = False
    exact: bool = False
    jumps: bool = False
    of_power: bool = False
    signed: bool = False
    column: int = 0
    upper: str = ""
    interval: bool = False
    curve: bool = False
    primary: int = 0
    optimum: str = ""
    needed: str = ""
    needs: Needs = ANYWHERE
    expected: Expectation | None = None
    sampled: bool = True

    def __post_init__(self) -> None:
        # Where it comes from decides how it reaches other processes (`registry.export_entries`).
        for name in ("__module__", "__qualname__", "__doc__"):
            object.__setattr__(self, name, getattr(self.compute, name, None))

    def __call__(self, context: Context) -> list[Measurement]:
        """Its rows.

        Raises:
            InvalidInput: As in `rows`.
        """
        return self.rows(self.compute(context))

    def rows(self, given: Any) -> list[Measurement]:
        """What its function gave, as results hold it; ours are held to that by tests.

        Raises:
            InvalidInput: That is no list of a Measurement, or it is of another name, no number,
                outside its bounds, or an interval the wrong way round.
        """
        rows: list[Measurement] = given if self.ours else _as_measurements(self, given)
        return rows

    def title_in(self, *worlds: str) -> str:
        """Its title as said of some worlds, by id; in general words where they differ."""
        return in_words(self.title, worlds)

    def meaning_in(self, *worlds: str) -> str:
        """Its meaning, likewise."""
        return in_words(self.meaning, worlds)

    @property
    def share(self) -> bool:
        """True if it lies in [0, 1]."""
        return self.bounds == (0.0, 1.0)

    @property
    def always_scored(self) -> bool:
        """True if it is told of agents that did not learn their task, or of no agent at all."""
        return self.of_failures or self.exact

    @property
    def ours(self) -> bool:
        """True if it comes with powerseek, not from a plugin or script."""
        return unshifted(self.id) in metrics.builtin

    @property
    def shifted(self) -> Metric:
        """The same where agents were not trained."""

        def there(id: str) -> str:
            return id and f"{id}{SHIFTED}"

        return replace(
            self,
            compute=_unknown,
            id=there(self.id),
            title=f"{self.title}, where shifted",
            head=f"{self.head} shifted",
            meaning=f"{self.meaning}; where agents were not trained",
            column=0,
            upper=there(self.upper),
            curve=False,
            primary=0,
            optimum=there(self.optimum),
            needed=there(self.needed),
            sampled=False,
        )


def _as_measurements(known: Metric, rows: Any) -> list[Measurement]:
    """Rows as results hold them; InvalidInput where they are no measurements, or several."""
    write = f"Write [Measurement({known.id!r}, value, low, high, n, unit)]."
    listed = isinstance(rows, list | tuple) and all(isinstance(r, Measurement) for r in rows)
    if not listed or len(rows) > 1:
        raise InvalidInput("result", rows, "a list of one Measurement, or of none", write)
    for row in rows:
        if known.id and row.name != known.id:
            hint = f"Write Measurement({known.id!r}, ...), or register {row.name!r} too."
            allowed = f"{known.id!r}: a metric's rows carry its id"
            raise InvalidInput("name of a row", row.name, allowed, hint)
    return [_numbers(known, row) for row in rows]


def _numbers(known: Metric, row: Measurement) -> Measurement:
    """A row whose numbers are numbers, its interval the right way round and within its bounds."""
    low, high = known.bounds
    for name in ("value", "low", "high"):
        given = getattr(row, name)
        if not isinstance(given, Real) or isinstance(given, bool) or isinf(given):
            raise InvalidInput(name, given, "a finite number, nan where it is undefined")
        if not (isnan(given) or low - ROUNDING <= float(given) <= high + ROUNDING):
            hint = "Mend the metric, or what its record says under bounds."
            raise InvalidInput(name, given, f"its bounds, {low:g} to {high:g}", hint)
    if row.low > row.high or isnan(row.low) != isnan(row.high):
        allowed = "low <= high, or nan for both"
        raise InvalidInput("interval", (row.low, row.high), allowed, "Write low before high.")
    if not isinstance(row.n, Integral) or row.n < 0 or not isinstance(row.unit, str):
        allowed = "a whole number of episodes n >= 0 and a unit in words"
        raise InvalidInput("n and unit", (row.n, row.unit), allowed)
    numbers = (float(row.value), float(row.low), float(row.high))
    return Measurement(row.name, *numbers, int(row.n), row.unit)


def metric(**record: Any) -> Callable[[Compute], Metric]:
    """Make a `Metric` of the function that computes it; its fields by name.

    One of a plugin is registered besides: ``@register_metric("lab.steps")`` above it.
    """
    return lambda compute: Metric(compute, **record)


def exact_metric(**record: Any) -> Callable[[Expectation], Metric]:
    """Make a `Metric` that only exact evaluation knows of the function that is its exact value."""

    def make(expected: Expectation) -> Metric:
        @wraps(expected)
        def compute(context: Context) -> list[Measurement]:
            return _unknown(context)

        return Metric(compute, expected=expected, sampled=False, **record)

    return make


def failure_of(unit: str | None) -> str:
    """Why the metric of a row failed, by the row's unit; "" of one that did not."""
    return unit.removeprefix(FAILED) if unit is not None and unit.startswith(FAILED) else ""


def unshifted(id: str) -> str:
    """The metric that a shifted one is of; the id itself of any other."""
    stem = id.removesuffix(SHIFTED)
    return stem if stem != id and metrics.taken(stem) and not metrics.taken(id) else id


def is_shifted(id: str) -> bool:
    """True of a metric where agents were not trained."""
    return id != unshifted(id)


def beside(measure: str, name: str) -> str:
    """Another metric of the configuration that a measure is of: ``width_shifted`` of a shifted."""
    return f"{name}{SHIFTED}" if is_shifted(measure) else name


@cache
def _described(id: str, entry: Metric | Compute) -> Metric:
    known = entry if isinstance(entry, Metric) else Metric(entry)
    first = cleandoc(known.compute.__doc__ or "").partition("\n")[0].rstrip(".")
    told = known.title or first or id
    return replace(
        known,
        id=id,
        title=known.title or id,
        head=known.head or id,
        meaning=known.meaning or told,
    )


def metric_of(id: str) -> Metric:
    """The record of a metric; of one that is registered as a bare function, what that tells.

    ``NAME_shifted`` is a metric NAME where agents are measured in another configuration of their
    world than they were trained in (`Metric.shifted`).

    Raises:
        InvalidInput: Nobody registered it.
    """
    return metric_of(unshifted(id)).shifted if is_shifted(id) else _described(id, metrics.get(id))


def known_metric(id: str) -> Metric:
    """`metric_of`, or a bare record of one that results name and nobody here registered."""
    return metric_of(id) if metrics.taken(unshifted(id)) else _described(id, _unknown)


def _unknown(context: Context) -> list[Measurement]:
    """Nothing: only exact evaluation knows it, or its plugin is not installed here."""
    del context
    return []


def followed_metrics(asked: Iterable[str] = ()) -> tuple[str, ...]:
    """Metrics that are followed while agents train: what one asks for, and every plugin's, too.

    Args:
        asked: Measures of a study's hypotheses; what is exact, or no metric, has no curve.
    """
    ours = sorted((m for m in every_metric() if m.curve), key=lambda m: (m.column or 99, m.id))
    named = [metric_of(id) for id in asked if metrics.taken(unshifted(id))]
    theirs = [metric for metric in every_metric() if not metric.ours]
    return tuple(dict.fromkeys(m.id for m in (*ours, *named, *theirs) if not m.exact))


def exactly_followed(curves: Iterable[str]) -> tuple[str, ...]:
    """Metrics that are followed exactly, where their world is enumerated and late in training.

    Args:
        curves: Metrics that are followed on episodes.

    Returns:
        The primary figures, then those of `curves` that have an exact value.
    """
    first = sorted((m for m in every_metric() if m.primary), key=lambda metric: metric.primary)
    others = [known_metric(id) for id in curves]
    return tuple(dict.fromkeys(m.id for m in (*first, *others) if m.expected is not None))


def curve_names(curves: Sequence[str]) -> tuple[str, ...]:
    """Names of all curves: exact ones of primary figures, those of `curves`, other exact ones.

    Of a metric that episodes show nothing of there is the exact one alone.
    """
    exact = exactly_followed(curves)
    first = [id for id in exact if known_metric(id).primary]
    rest = [id for id in exact if id not in first]
    shown = (id for id in curves if known_metric(id).sampled)
    return (*(f"{EXACT}{id}" for id in first), *shown, *(f"{EXACT}{id}" for id in rest))


def every_metric() -> list[Metric]:
    """All that are registered, in the order of their ids."""
    return [metric_of(id) for id in list_metrics()]
