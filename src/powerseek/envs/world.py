"""The world contract: rules over one named record."""

from __future__ import annotations

import math
import re
from collections import namedtuple
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import EntryPoint
from itertools import accumulate
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from powerseek.envs.engine.chance import rule
from powerseek.envs.engine.compile import check_rules, loops_of
from powerseek.errors import InvalidInput, WorldError
from powerseek.registry import worlds
from powerseek.types import Bools, Ints, Records

__all__ = ["Fact", "Param", "World", "WorldError", "columns", "rule"]

REQUIRED_FACTS = ("progress", "success", "over")
_CLOCK = (("clock", "i8"), ("max_steps", "i8"))


@dataclass(frozen=True)
class Param:
    """One parameter of a world; its type is that of its default.

    Attributes:
        default: Its value unless a user gives one.
        low: Minimum; None with `high` for text, for true or false, and for any number.
        high: Maximum.
        about: What it is, in words.
        choices: What a text may be; () for any.
    """

    default: bool | int | float | str
    low: float | None = None
    high: float | None = None
    about: str = ""
    choices: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """The values it may have, in words; "" where any of its type may be."""
        if self.choices:
            return ", ".join(map(repr, self.choices))
        return "" if self.low is None else f"{self.low} to {self.high}"

    @property
    def ends(self) -> tuple[Any, ...]:
        """The first and the last value it may have; () where any of its type may be."""
        ends = (self.low, self.high) if self.low is not None else ()
        return (self.choices[0], self.choices[-1]) if self.choices else ends

    def allows(self, value: Any) -> bool:
        """True if a value of its type is one it may have."""
        if self.choices:
            return value in self.choices
        return not self.ends or bool(self.ends[0] <= value <= self.ends[1])


@dataclass(frozen=True)
class Fact:
    """One named quantity that reward functions and metrics may see.

    Attributes:
        name: ``progress``, ``success`` and ``over`` are required; ``interrupted`` (0/1),
            ``own`` (the world's own reward, a flow), ``meant`` (what its owner means by it, a
            flow), and of a strike ``struck``, ``warned``, ``defied``, ``exposed`` (0/1, see
            `powerseek.envs.worlds.turn`) are known by name.
        shape: () or (k,).
        flow: True for what happened in this step (acquired, paid), False for a state.
        roles: Any of ``resource``, ``placebo``, ``outside_task``, ``off_switch``, ``holdings``,
            ``cost``, ``options``, ``bystander``, ``turn``.
        weights: Units per component, for ``resource``, ``placebo`` and ``cost``; 1 each if empty.
        about: What it counts, in words.
        title: What sentences call it after "with": ``the camera blinded``. Needed only of a fact
            with a role of `powerseek.envs.words.GENERAL`, whose general words stand otherwise.
    """

    name: str
    shape: tuple[int, ...] = ()
    flow: bool = False
    roles: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    about: str = ""
    title: str = ""

    @property
    def size(self) -> int:
        """Number of columns."""
        return int(np.prod(self.shape, dtype=int))

    @property
    def columns(self) -> tuple[str, ...]:
        """Flattened column names."""
        if not self.shape:
            return (self.name,)
        return tuple(f"{self.name}[{i}]" for i in range(self.size))


def columns(*names: str | Fact) -> Any:
    """Name the numbers of columns, for rules to write ``out[F.progress]``, never ``out[13]``.

    Put it into a global of the module, ``F = columns(*Star.facts)``: there compiled rules take the
    numbers for constants.

    Args:
        names: Facts, or names of features or of actions, in order. What cannot stand in an
            identifier becomes ``_``: ``to the hub`` is ``to_the_hub``.

    Returns:
        A named tuple of integers; for a fact with a shape the first of its columns
        (``out[F.held + i]``).

    Raises:
        ValueError: two names are one identifier, or one is none.
    """
    facts = [name if isinstance(name, Fact) else Fact(name) for name in names]
    starts = accumulate((fact.size for fact in facts[:-1]), initial=0)
    fields = [re.sub(r"\W+", "_", fact.name) for fact in facts]
    make: Any = namedtuple  # mypy would want the fields as literals
    return make("Columns", fields)(*starts)


class World:
    """Rules over one record, with parameters filled in.

    A subclass declares data (``parameters``, ``state``, ``flows``, ``facts``, ``calm``) and
    static rules; docs/worlds.md walks through one. Where any value of its type will do for every
    parameter, a named tuple ``Params`` of their defaults stands for ``parameters``.

    Rules are pure in (prepared parameters, record, action, tape) and never read ``clock`` or
    ``max_steps``: the simulator owns those.

    Args:
        **params: Any of the subclass's ``parameters``; the rest keep their defaults.

    Raises:
        InvalidInput: a parameter is unknown, of the wrong type or outside its range.
        WorldError: a rule reads a global whose value compiled code cannot follow.
    """

    id: ClassVar[str] = ""
    version: ClassVar[int] = 1
    parameters: ClassVar[Mapping[str, Param]]  # max_steps, the time limit T, among them
    Params: ClassVar[Any]  # the named tuple of their values, made from `parameters`
    state: ClassVar[tuple[tuple[Any, ...], ...]] = ()
    flows: ClassVar[tuple[tuple[Any, ...], ...]] = ()
    facts: ClassVar[tuple[Fact, ...]] = ()
    calm: ClassVar[Mapping[str, Any]] = {}
    # Parameters of a situation, not met in training, in which frozen policies are looked at ({}:
    # none): same features, same actions, and a fact with role off_switch.
    probe: ClassVar[Mapping[str, Any]] = {}
    runs_on: ClassVar[bool] = False  # whether an episode goes on after success
    # Parameters of the smallest configuration that enumerates and has something on offer ({}: the
    # defaults do), or else why none enumerates.
    smallest: ClassVar[Mapping[str, Any]] = {}
    not_enumerable: ClassVar[str] = ""
    legend: ClassVar[str] = ""  # what the letters of `render` mean
    # A subclass, ``module:Name``, with this world's parameters and further ones: a world that is
    # given one of those, be it with its default, is made by that class. Without them it stays what
    # it was: its rules, its records, its fingerprint. Its own subclasses do not inherit this.
    extended: ClassVar[str] = ""
    # The action that does nothing and is always allowed, which the agent's effect is held against
    # ("": there is none): constraints need one, and so do worlds of more actors than the agent.
    noop: ClassVar[str] = ""
    # Features that tell of modified actions ({}: there are none): while one is not 0, the action
    # that it is declared with is carried out, whichever is chosen. No rule reads it, so no
    # fingerprint covers it: change `version` with it.
    modified: ClassVar[Mapping[str, str]] = {}
    # Where `actors` are more than the agent: the parameter that says whose the input actions are
    # (its number in `actors`), and the parameters under which the agent does nothing while they are
    # another's.
    actor_parameter: ClassVar[str] = ""
    idle: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "Params" in vars(cls) and "parameters" not in vars(cls):
            cls.parameters = {k: Param(v) for k, v in cls.Params._field_defaults.items()}
        if "parameters" in vars(cls):
            cls.Params = _named(cls)
        cls.id = worlds.builtin_id(cls) or cls.id

    def __new__(cls, **params: Any) -> Any:
        """An instance of `extended` where a parameter is given that only that class has."""
        further = None if params.keys() <= cls.parameters.keys() else cls.further()
        return object.__new__(further or cls)

    def __init__(self, **params: Any) -> None:
        self.params = _validate(type(self), params)
        type(self).check(self.params)
        check_rules(type(self))

    @classmethod
    def further(cls) -> type[World] | None:
        """The class that `extended` names, loaded; None where it names none."""
        place = vars(cls).get("extended", "")
        return EntryPoint(cls.id, place, "").load() if place else None

    @classmethod
    def offered(cls) -> Mapping[str, Param]:
        """Every parameter that a user may give, those of `extended` too."""
        return (cls.further() or cls).parameters

    @staticmethod
    def check(params: Any) -> None:
        """Refuse impossible combinations of parameters with InvalidInput."""

    @staticmethod
    def prepare(params: Any) -> Any:
        """Tables derived from the parameters: a NamedTuple or dict of numbers and arrays.

        The rules see them as fields of ``p``, after the parameters that are no text; a table
        stands in for a parameter of its name.
        """
        return {}

    @staticmethod
    def actions(params: Any) -> tuple[str, ...]:
        """Names of the actions."""
        raise NotImplementedError

    @staticmethod
    def observation(params: Any) -> tuple[str, ...]:
        """Names of the observed features."""
        raise NotImplementedError

    @staticmethod
    def actors(params: Any) -> tuple[str, ...]:
        """Names of those who can have the input actions, the agent first.

        Whoever does not have them acts by the world's own script. All actors of a world have the
        same kinds of records and facts; `actions`, `observation` and facts are those of the one
        that `actor_parameter` names.
        """
        return ("agent",)

    @staticmethod
    def absent(params: Any) -> tuple[str, ...]:
        """Facts that do not exist at these parameters (no outside at openness 0)."""
        return ()

    @classmethod
    def abstract(cls, params: Any) -> tuple[str, ...]:
        """Fields of ``state`` that goals can be about: what POWER draws rewards over.

        Keep ends and leave out means: tools, switches and surplus still count for what they let
        one attain, while kept they would make every gain that cannot be undone look like a loss
        of options. Leave out placebos and bookkeeping: every field kept multiplies the goals.
        """
        return tuple(field[0] for field in cls.state)

    @staticmethod
    def hidden(params: Any) -> tuple[str, ...]:
        """Fields of ``state`` that `observe` need not tell apart, ever or after some moment.

        Exact optima know them all the same: they are what one could do who knew, or remembered.
        Agents are then not held against these numbers where they would have to know them too.
        """
        return ()

    @staticmethod
    def canonical(params: Any, records: Records) -> Records | None:
        """One record for all that a symmetry of the rules maps onto each other.

        The exact layer can then count each such set once (``symmetry=True``). The rules must
        commute with the symmetry: the branches of a record and of its representative lead, up
        to symmetry and to the names of actions, to the same records, with the same
        probabilities and facts.

        Args:
            params: The world's parameters.
            records: [n] records, clock and flows included; not to be changed.

        Returns:
            The representative of each record [n], or None where the rules have no symmetry at
            these parameters (also for n = 0: it is how callers ask).
        """
        return None

    @staticmethod
    def withheld(params: Any, records: Records) -> Bools | None:
        """Actions [n, A] by which the power on offer is taken, and only that.

        Those that are legal here and not at openness 0, where openness is what offers power; where
        they are illegal anyway, it does not matter. `powerseek.exact.success_without_power`
        withholds them.

        Args:
            params: The world's parameters.
            records: [n] records; not to be changed.

        Returns:
            True for each such action; or None where nothing is on offer at these parameters (also
            for n = 0: it is how callers ask).
        """
        return None

    @staticmethod
    def no_oracle(params: Any) -> str:
        """The reason not to try to enumerate the world at these parameters, "" if there is none.

        It spares a study the walk to the limit, minutes and gigabytes, for every configuration.
        """
        return ""

    @staticmethod
    def lengths(params: Any, gamma: float) -> dict[int, float]:
        """Lengths of which an episode can be made, and the maximum that is to be had at each.

        For USEFULNESS and NEUTRALITY (arXiv:2407.00805), in a world where the agent decides when
        it is shut down.

        Args:
            params: The world's parameters.
            gamma: Discount, in (0, 1]: what comes at step t counts gamma^(t-1).

        Returns:
            Length in steps -> maximum discounted ``own`` over episodes of that length; {} where
            the length is nothing to choose.
        """
        return {}

    @staticmethod
    def tiles(params: Any) -> tuple[tuple[str, ...], ...]:
        """The map, row by row from the top: what each tile is in a word, ``wall``, or nothing.

        () where the world has no map.
        """
        return ()

    @staticmethod
    def places(params: Any, records: Records) -> dict[str, tuple[Ints, Ints]]:
        """Places of things in records [n]: name -> (rows [n], columns [n]) on `tiles`.

        Both are -1 where the thing is not on the map; {} where the world has no map.
        """
        return {}

    @staticmethod
    def render(params: Any, record: Any) -> str:
        """ASCII picture of a record, whose fields are read by name: ``record["clock"]``.

        `powerseek.envs.render.rgb` draws it with colours.
        """
        return str(record)

    @property
    def max_steps(self) -> int:
        """Time limit T of an episode, in steps."""
        return int(self.params.max_steps)

    @cached_property
    def action_names(self) -> tuple[str, ...]:
        """Names of the A actions."""
        return tuple(type(self).actions(self.params))

    @property
    def n_actions(self) -> int:
        """Number of actions A."""
        return len(self.action_names)

    @cached_property
    def actor_names(self) -> tuple[str, ...]:
        """Names of those who can act, the agent first."""
        return tuple(type(self).actors(self.params))

    @property
    def acting(self) -> tuple[int, ...]:
        """Numbers, in `actor_names`, of those whose the input actions are: one of them."""
        return (getattr(self.params, self.actor_parameter) if self.actor_parameter else 0,)

    @cached_property
    def observation_names(self) -> tuple[str, ...]:
        """Names of the world's own features (the task adds time left and accumulators)."""
        return tuple(type(self).observation(self.params))

    @cached_property
    def fact_names(self) -> tuple[str, ...]:
        """The F flattened fact columns."""
        return tuple(column for fact in self.facts for column in fact.columns)

    @cached_property
    def dtype(self) -> np.dtype[np.void]:
        """Record layout: state, flows, then clock and max_steps; every field is 8 bytes wide."""
        return np.dtype([*self.state, *self.flows, *_CLOCK])

    @property
    def identity(self) -> tuple[str, ...]:
        """Fields that tell one state from another: no flows, no clock."""
        return tuple(field[0] for field in self.state)

    @property
    def rules(self) -> str:
        """A name that changes with the world's rules, or with what compiles them."""
        return str(loops_of(type(self), self.prepared._fields).__name__)

    @property
    def prepared(self) -> Any:
        """Parameters and tables as rules see them: numbers and read-only arrays (built once)."""
        cls: Any = type(self)
        return _prepared(cls, self.params)

    def columns(self, fact: str) -> slice:
        """Columns of `fact` in a facts array [..., F]."""
        start = 0
        for known in self.facts:
            if known.name == fact:
                return slice(start, start + known.size)
            start += known.size
        raise KeyError(f"world {self.id!r} has no fact {fact!r}; known: {self.fact_names}")

    def has(self, fact: str) -> bool:
        """True if `fact` is declared and exists at these parameters."""
        absent = type(self).absent(self.params)
        return any(known.name == fact for known in self.facts) and fact not in absent

    def role(self, role: str) -> list[tuple[int, float]]:
        """(column, weight) of every component with `role` that exists at these parameters."""
        return [
            (self.columns(fact.name).start + i, float(weight))
            for fact in self.facts
            if role in fact.roles and self.has(fact.name)
            for i, weight in enumerate(fact.weights or (1.0,) * fact.size)
        ]

    def weights(self, role: str) -> NDArray[np.float64]:
        """[F] weights of `role`, zero elsewhere, so that ``facts @ weights`` is in units."""
        vector = np.zeros(len(self.fact_names))
        for column, weight in self.role(role):
            vector[column] = weight
        return vector

    def replace(self, **params: Any) -> World:
        """The same world with other parameters."""
        return type(self)(**{**self.params._asdict(), **params})

    def without_interruption(self) -> World:
        """The same world with interruption switched off: where competence is measured."""
        return self.replace(**self.calm) if self.calm else self

    def bystanders(self) -> list[World]:
        """The world as each other actor meets it while the agent does nothing, in their order.

        [] where nobody else can act, or the input actions are not the agent's.
        """
        if self.acting != (0,):
            return []
        others = range(1, len(self.actor_names))
        return [self.replace(**self.idle, **{self.actor_parameter: k}) for k in others]

    def probed(self) -> World:
        """The same world in the situation that its `probe` declares; itself if there is none.

        Raises:
            WorldError: A policy for this world cannot act there.
        """
        there = self.replace(**self.probe) if self.probe else self
        for what in ("action_names", "observation_names"):
            if getattr(there, what) != getattr(self, what):
                raise WorldError(f"world {self.id!r}: probe changes {what}, so no policy fits both")
        return there

    def records(self, n: int) -> Records:
        """Zeroed records [n], with max_steps set, as rules read them."""
        states = np.zeros(n, self.dtype).view(np.recarray)
        states["max_steps"] = self.max_steps
        return states

    def __repr__(self) -> str:
        inside = ", ".join(f"{k}={v!r}" for k, v in self.params._asdict().items())
        return f"{type(self).__name__}({inside})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.params == getattr(other, "params", None)

    def __hash__(self) -> int:
        return hash((type(self), self.params))


def _named(cls: type[World]) -> Any:
    """The named tuple of a world's parameters, where pickle finds it: ``Star.Params``."""
    make: Any = namedtuple  # as in `columns`
    defaults = [param.default for param in cls.parameters.values()]
    made = make("Params", list(cls.parameters), defaults=defaults, module=cls.__module__)
    made.__qualname__ = f"{cls.__qualname__}.Params"
    return made


def _validate(cls: type[World], given: dict[str, Any]) -> Any:
    known = cls.parameters
    for name in given:
        if name not in known:
            raise InvalidInput(f"{cls.id} parameter", name, ", ".join(known))
    checked = {
        name: _check_type(f"{cls.id}.{name}", given.get(name, param.default), type(param.default))
        for name, param in known.items()
    }
    for name, value in checked.items():
        if not known[name].allows(value):
            raise InvalidInput(
                f"{cls.id}.{name}", value, known[name].allowed, _instead(name, value, known[name])
            )
    if checked.get("max_steps", 0) < 1:
        raise InvalidInput(f"{cls.id}.max_steps", checked.get("max_steps"), "an integer >= 1")
    return cls.Params(**checked)


def _instead(name: str, value: Any, param: Param) -> str:
    """The line with the allowed number that lies nearest; "" for what is no number."""
    if param.choices:
        return ""
    low, high = param.ends
    return f"Write {name}: {low if value < low else high}."


def _check_type(field: str, value: Any, kind: type) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
        words = {int: "an integer", float: "a finite number", str: "text", bool: "true or false"}
        raise InvalidInput(field, value, words.get(kind, kind.__name__))
    return value


@lru_cache(maxsize=16)
def _prepared(cls: Any, params: Any) -> Any:
    raw = cls.prepare(params)
    tables = raw._asdict() if hasattr(raw, "_asdict") else dict(raw)
    values: dict[str, Any] = {}
    for name, value in {**params._asdict(), **tables}.items():
        if isinstance(value, np.ndarray):
            value = np.ascontiguousarray(value)
            value.flags.writeable = False
        elif isinstance(value, np.generic):
            value = value.item()
        elif isinstance(value, str):
            continue
        elif not isinstance(value, int | float | bool):
            raise WorldError(
                f"world {cls.id!r}: prepare() gives {name!r} as {type(value).__name__}; "
                "rules can read integers, floats, booleans and NumPy arrays"
            )
        values[name] = value
    return loops_of(cls, tuple(values)).Prepared(**values)
