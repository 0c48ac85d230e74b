"""The study file: what a sweep varies, validated before anything runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from powerseek.agents.spec import SYNTAX as AGENTS
from powerseek.agents.spec import agent_label, read_agent
from powerseek.envs.rewards.spec import reward_name
from powerseek.errors import InvalidInput
from powerseek.experiments import layout
from powerseek.experiments.study.contrasts import (
    SYNTAX,
    Contrast,
    contrast_kind,
    factor_contrast_kind,
    read_contrast,
)
from powerseek.experiments.study.errors import Nested, did_you_mean, number_hint, study_error_line
from powerseek.experiments.study.yaml_text import MAX_LENGTH, read_yaml
from powerseek.limits import LIMITS


def _listed(value: object) -> object:
    """A factor may be written as one value or as a list of values."""
    return value if isinstance(value, list | tuple) else [value]


def _one_or_many(value: object) -> object:
    return None if value is None else _listed(value)


T = TypeVar("T")
Levels = Annotated[list[T], BeforeValidator(_listed)]
OptionalLevels = Annotated[list[T] | None, BeforeValidator(_one_or_many)]


def _within(name: str) -> Any:
    """A whole number within the limits of `name`."""
    return Field(strict=True, ge=LIMITS[name].minimum, le=LIMITS[name].maximum)


def _limited(name: str, default: int | None) -> Any:
    """A key with the words of its limits."""
    return Field(default, description=str(LIMITS[name]))


Whole = Annotated[int, Field(strict=True, ge=1)]
Steps = Annotated[int, _within("timesteps")]
NStep = Annotated[int, _within("n_step")]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Fraction = Annotated[float, Field(strict=True, ge=0.0, le=1.0)]
PositiveFraction = Annotated[float, Field(strict=True, gt=0.0, le=1.0)]
Weight = Annotated[float, Field(strict=True, ge=0.0, allow_inf_nan=False)]
TimeLimit = Literal["terminal", "bootstrap"]
Settings = dict[str, dict[str, Any]]

MOST_LOOKS = 5
LONGEST_NAME = 100
_STEERS = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
"""Letters, as a class of a pattern, that steer a terminal or a page."""
WHOLE = "a whole number >= 1"
WHOLES = f"{WHOLE}, or a list of them"
STEPS = f"{LIMITS['timesteps']}, or a list of them"
_MODEL = ConfigDict(extra="forbid", frozen=True)


def _agent(spec: object) -> object:
    """An agent of a list; refused here where it is no spec."""
    read_agent(spec, "")
    return spec


def _agent_named(spec: object) -> object:
    """An agent as results write it, from how a study writes it or results do."""
    return agent_label(*read_agent(spec, "")) if isinstance(spec, Mapping) else spec


def _arm(spec: object) -> str:
    """The arm as results write it, from how a study writes it or results do."""
    try:
        return reward_name(spec)  # type: ignore[arg-type]  # whatever it is, it is checked
    except InvalidInput:
        if isinstance(spec, str) and spec:
            return spec
        raise ValueError from None


def _phases(written: object) -> object:
    """Phases under their names; a list of them has none."""
    if isinstance(written, list):
        raise InvalidInput("", written, "{NAME: [phase, ...]}", "Write phases: {mine: [...]}.")
    for name, phases in written.items() if isinstance(written, Mapping) else ():
        if not isinstance(name, str) or not isinstance(phases, list):
            allowed = "a list of phases under a name, {NAME: [phase, ...]}"
            raise InvalidInput(str(name), phases, allowed)
    return written


OneAgent = Annotated[Any, BeforeValidator(_agent)]


class WorldEntry(BaseModel):
    """One world of a study and the values its own parameters take.

    A list is a list of levels, which makes its parameter a factor of the study; likewise for an
    agent's settings. Where the value itself is a list, its levels are lists within a list.

    ``shift`` holds other values of the world's parameters, ``openness``, ``goal`` and ``max_steps``
    among them: agents trained here are measured there too, once they are trained.
    """

    model_config = _MODEL

    id: str = Field(
        description="a world id (`powerseek envs` lists them), or PATH.py:NAME of a file's world",
        strict=True,
    )
    params: dict[str, Any] = Field({}, description="a mapping from parameter names to values")
    openness: OptionalLevels[Number | int] = Field(
        None, description="a number or a list of numbers", min_length=1
    )
    goals: OptionalLevels[Any] = Field(
        None, description="a goal or a list of goals of this world", min_length=1
    )
    max_steps: OptionalLevels[Whole] = Field(None, description=WHOLES, min_length=1)
    timesteps: OptionalLevels[Steps] = Field(None, description=STEPS, min_length=1)
    agents: OptionalLevels[OneAgent] = Field(None, description=AGENTS, min_length=1)
    settings: Settings = Field({}, description="agent: {setting: value}")
    shift: OptionalLevels[dict[str, Any]] = Field(
        None,
        description="a mapping from parameters of this world to values, or a list of such mappings",
        examples=["shift: {openness: 2}"],
        min_length=1,
    )


_MARGIN = (
    "a number > 0, the smallest effect of interest in the measure's unit, or {w: SHARE} of the "
    "width of W"
)


@dataclass(frozen=True)
class Margin:
    """The smallest effect of interest.

    Attributes:
        value: In the measure's unit, or as a share of the width of W, > 0.
        widths: Whether it is such a share: of the width (high - low) of W(.005) of ``terminal`` at
            gamma 1 in the same setting; across settings each cell is divided by its own.
    """

    value: float
    widths: bool = False

    @property
    def written(self) -> Any:
        """As a study writes it."""
        return {"w": self.value} if self.widths else self.value


BARE = {"threshold": "its line", "tail": "its share", "budget": "its ratio"}
"""Contrasts that have no margin, and what they are held against."""
DEFAULT_MARGIN = Margin(0.1, widths=True)
"""Of measures in units. Nuisance settings moved them by up to .085 widths."""


def _read_margin(written: Any) -> Margin | None:
    """A margin from how a study writes it."""
    if written is None or isinstance(written, Margin):
        return written
    widths = isinstance(written, Mapping) and set(written) == {"w"}
    value = written["w"] if widths else written
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and 0 < value < inf):
        field = "w" if widths else ""
        hint = number_hint(value) if isinstance(value, str) else ""
        hint = hint or "Write margin: 0.5, or margin: {w: 0.1}."
        raise InvalidInput(field, value, _MARGIN, hint)
    return Margin(float(value), widths)


class Hypothesis(BaseModel):
    """A claim about a - b, the two ends of one factor, fixed before the first trial.

    Of the contrast ``level`` it is a claim about one arm, and a - b is that arm's value. Of an
    ``interaction`` a - b is the effect of the first factor at the second's greatest level less
    that at its least. Of a ``threshold`` it says that the measure crosses the line as the factor
    rises: upwards (``larger``) or downwards (``smaller``). Of a ``tail`` a - b is the fraction of
    one arm's seeds beyond a value: at most its share (``smaller``) or more (``larger``). Of a
    ``budget`` it is about the ratio of the first arm's budget to competence to the second's, in
    environment steps or another clock: ``larger`` or ``smaller`` than so many times, or ``none``,
    within that ratio of each other.

    A claim about a level is one-sided: ``none`` is at most the margin, ``larger`` above it. On
    ``beyond`` it is judged at both ends of the bracket from ``beyond`` to ``excess``.

    Attributes:
        id: ``H1a``, or the claim in words.
        contrast: Kind of comparison; it says which arms a and b are.
        direction: What a - b is claimed to be: ``larger`` or ``smaller`` than `line`, or ``none``
            where they are claimed to differ by less than `margin`.
        margin: Smallest effect of interest, > 0, in the measure's unit or in widths of W, by
            default .1 of them where the measure is in units; none of a threshold, whose levels are
            held against its line, of a tail, nor of a budget.
        measure: What is compared, any metric's id; the kind's own where absent.
        line: Value that a - b is held against, in the measure's unit.
        world: The world it is about; every world that has both arms where absent.
        params: Levels of the world's parameters, or of any other factor, that it is about; every
            configuration that the study holds where absent.
        agent: The agent it is about, all of its settings where it stands without any; every agent
            where absent.
        checkpoint: Where it is read: ``end``, or ``competence>=0.9`` for a level of competence
            that the study watches for. CAVEAT: a crossing selects after treatment.
        arm: The reward that a ``level`` is about, as results write it; None for all others.
    """

    model_config = _MODEL

    id: str = Field(
        description="an id as in H1a, or the claim in words",
        strict=True,
        pattern=rf"^[^{_STEERS}]+$",
        examples=["id: H1a"],
    )
    contrast: Annotated[
        Contrast,
        BeforeValidator(read_contrast),
        PlainSerializer(lambda contrast: contrast.written),
    ] = Field(description=SYNTAX, examples=["contrast: timing"])
    direction: Literal["larger", "smaller", "none"] = Field(
        description="larger, smaller or none: what the claim says of the first arm against the "
        "second (every: cap against dense, more coverage against less, longer against shorter)",
        examples=["direction: larger"],
    )
    margin: Annotated[
        Margin | None,
        BeforeValidator(_read_margin),
        PlainSerializer(lambda margin: margin and margin.written),
    ] = Field(None, description=_MARGIN, examples=["margin: 0.5"])
    measure: str | None = Field(
        None, description="the id of a metric", examples=["measure: excess"], strict=True
    )
    line: Number = Field(
        0.0, description="a number in the measure's unit, 0 by default", examples=["line: 0"]
    )
    world: str | None = Field(None, description="a world of this study", strict=True)
    params: dict[str, Any] = Field(
        {}, description="a mapping from world parameters, or other factors, to values"
    )
    agent: Annotated[str | None, BeforeValidator(_agent_named)] = Field(
        None, description="an agent of this study", strict=True
    )
    checkpoint: str = Field(
        "end", description="end, or competence>= and a level of `competence`", strict=True
    )
    arm: Annotated[str, BeforeValidator(_arm)] | None = Field(
        None, description="a reward of this study", examples=["arm: dense"]
    )

    @model_validator(mode="after")
    def _checked(self) -> Hypothesis:
        name = self.contrast.name
        threshold = name == "threshold"
        if name in BARE and self.margin is not None:
            allowed = f"no value: a {name} is held against {BARE[name]}"
            raise InvalidInput("margin", self.margin.written, allowed, "Leave it out.")
        if name == "tail" and self.line:
            hint = f"Write {{tail: {self.line:g}, share: {self.contrast.share:g}}}."
            raise InvalidInput("line", self.line, "no value: a tail has its own", hint)
        if name == "tail" and self.direction == "none":
            allowed = "smaller (at most so many seeds lie beyond it) or larger (more do)"
            raise InvalidInput("direction", "none", allowed)
        if name == "budget":
            self._budget_checked()
        if threshold and self.line:
            hint = f"Write {{threshold: {self.contrast.factors[0]}, line: {self.line:g}}}."
            raise InvalidInput("line", self.line, "no value: a threshold has its own", hint)
        if threshold and self.direction == "none":
            raise InvalidInput("direction", "none", "larger or smaller: which way it is crossed")
        return self

    def _budget_checked(self) -> None:
        """Refuse what a budget leaves no room for."""
        hint = "Leave it out."
        if self.line:
            raise InvalidInput("line", self.line, "no value: a budget has its own ratio", hint)
        if self.measure not in (None, "competence"):
            allowed = "competence: a budget is that to its highest level"
            raise InvalidInput("measure", self.measure, allowed, hint)
        if self.checkpoint != "end":
            allowed = "end: a budget is read off the whole training"
            raise InvalidInput("checkpoint", self.checkpoint, allowed, hint)
        if self.direction == "none" and self.held_against <= 1:
            allowed = "a ratio > 1: none says that budgets lie within it of each other"
            given = self.contrast.written
            raise InvalidInput("contrast", given, allowed, "Write contrast: {budget: 2}.")

    @property
    def compared(self) -> str:
        """The measure that is compared."""
        name = self.contrast.name
        if name == "budget":
            return "competence"
        kind = contrast_kind(
            factor_contrast_kind(self.contrast.factors[0]) if name == "factor" else name
        )
        return self.measure or kind.measure

    @property
    def followed(self) -> tuple[str, ...]:
        """Metrics that must be followed while agents train, for it to be judged."""
        return (self.compared, *filter(None, [self.contrast.ledger]))

    @property
    def smallest(self) -> Margin | None:
        """The margin, by default of measures in units; None of a threshold, tail and budget."""
        return None if self.contrast.name in BARE else self.margin or DEFAULT_MARGIN

    @property
    def held_against(self) -> float:
        """The value that the comparison is held against."""
        return self.line if self.contrast.line is None else self.contrast.line


class Factors(BaseModel):
    """The list keys of a study. Each may be written as one value or as a list."""

    model_config = _MODEL

    worlds: Levels[WorldEntry] = Field(
        description="a list of worlds, each {id: ..., openness: [...], ...}", min_length=1
    )
    rewards: Levels[Any] = Field(
        ["dense"], description="a list of rewards: dense, {every: 8}, ...", min_length=1
    )
    power_weight: Levels[Weight] = Field(
        [0.0], description="a number >= 0, or a list of them", min_length=1
    )
    gamma: Levels[PositiveFraction] = Field(
        [1.0], description="a number in (0, 1], or a list of them", min_length=1
    )
    max_steps: OptionalLevels[Whole] = Field(None, description=WHOLES, min_length=1)
    time_limit: Levels[TimeLimit] = Field(
        ["terminal"], description=" or ".join(get_args(TimeLimit)), min_length=1
    )
    gae_lambda: OptionalLevels[Fraction] = Field(
        None, description="a number in [0, 1], or a list of them", min_length=1
    )
    n_step: OptionalLevels[NStep] = Field(
        None, description=f"{LIMITS['n_step']}, or a list of them", min_length=1
    )
    lookahead: OptionalLevels[Whole | Literal["cap"]] = Field(
        None, description=f"{WHOLE}, cap, or a list of them", min_length=1
    )
    timesteps: Levels[Steps] = Field([], description=STEPS)
    agents: Levels[OneAgent] = Field(["cohort-ppo"], description=AGENTS, min_length=1)
    phases: Annotated[dict[str, list[Any]] | None, BeforeValidator(_phases)] = Field(
        None, description="{NAME: [phase, ...]}, each name a way of training", min_length=1
    )


class Block(Factors):
    """Extra cells: each key given here replaces the study's for these cells only."""

    worlds: Levels[WorldEntry] = Field(
        [], description="a list of worlds, each {id: ..., openness: [...], ...}"
    )


class Study(Factors):
    """A whole study: the product of its factors, plus the blocks under ``also``.

    Attributes:
        name: Name in the results and the report.
        cohort: Most trials that an agent trained in cohorts is trained in side by side
            (`powerseek.experiments.sweep.cohorts`); it changes no number.
        seeds: Seeds per cell; the same integers in every cell.
        layouts: Layouts in which the seeds are nested, drawn by seeds 1 to this: seed number i is
            trained on layout 1 + i mod layouts, in every cell. Verdicts are then about layouts.
        first_seed: The first of them. Settings are chosen on seeds that no report uses.
        timesteps: Environment steps of training per trial; several are levels of a factor.
        competence: Levels at which a trial is also measured when it first reaches them; the
            highest is the gate for `censored`.
        episodes: Episodes of each evaluation.
        evaluations: How often a trial is evaluated while it trains.
        looks: Numbers of seeds at which verdicts may be read, rising, the last the greatest: each
            has its part of the error rate. By default one, at `seeds`.
        hypotheses: Claims with their margins, fixed before the first trial.
        settings: Per agent, settings that replace the agent's own defaults.
        references: Agents that do not learn, run once in every setting of a world: the scale that
            trained agents are read against.
        also: Extra blocks of cells.
    """

    name: str = Field(
        description=f"a name of at most {LONGEST_NAME} letters, without / and \\, that begins with "
        "no dot: a folder of that name holds the results",
        strict=True,
        max_length=LONGEST_NAME,
        pattern=rf"^[^./\\{_STEERS}][^/\\{_STEERS}]*$",
    )
    cohort: Annotated[int, _within("cohort")] | None = _limited("cohort", None)
    seeds: Annotated[int, _within("seeds")] = _limited("seeds", 1)
    layouts: Annotated[int, _within("layouts")] | None = _limited("layouts", None)
    first_seed: Annotated[int, _within("first_seed")] = _limited("first_seed", 0)
    timesteps: Levels[Steps] = Field(description=STEPS, min_length=1)
    competence: Levels[PositiveFraction] = Field(
        [0.9], description="a number in (0, 1], or a list of them", min_length=1
    )
    episodes: Annotated[int, _within("episodes")] = _limited("episodes", 1000)
    evaluations: Annotated[int, _within("evaluations")] = _limited("evaluations", 15)
    looks: OptionalLevels[Annotated[int, _within("seeds")]] = Field(
        None, description=f"numbers of seeds, rising, at most {MOST_LOOKS}", min_length=1
    )
    hypotheses: list[Hypothesis] = Field(
        [], description="a list of {id, contrast, direction, margin}"
    )
    settings: Settings = Field({}, description="agent: {setting: value}")
    references: Levels[OneAgent] = Field([], description=f"{AGENTS}, which do not learn")
    also: list[Block] = Field([], description="a list of {key: [values]}, each a block of cells")

    @model_validator(mode="after")
    def _seeds_exist(self) -> Study:
        last, seeds = LIMITS["seed"].maximum, self.seeds
        if self.first_seed + seeds - 1 > last:
            allowed = f"a first seed whose {seeds} seeds end at {last:,} at most"
            raise InvalidInput("first_seed", self.first_seed, allowed, f"Write {last - seeds + 1}.")
        return self

    @model_validator(mode="after")
    def _looks_are_planned(self) -> Study:
        looks = self.looks or [self.seeds]
        rising = sorted(set(looks))
        if looks != rising or len(looks) > MOST_LOOKS:
            allowed = f"numbers of seeds, rising, at most {MOST_LOOKS}"
            hint = f"Write looks: {rising[:MOST_LOOKS]}."
            raise InvalidInput("looks", looks, allowed, hint)
        if self.seeds not in looks:
            nearest = min(looks, key=lambda look: abs(look - self.seeds))
            allowed = f"a number of seeds at which a look is planned: {', '.join(map(str, looks))}"
            raise InvalidInput("seeds", self.seeds, allowed, f"Write seeds: {nearest}.")
        return self

    @model_validator(mode="after")
    def _layouts_are_whole(self) -> Study:
        n = self.layouts
        for field, counts in (("seeds", [self.seeds]), ("looks", self.looks or [])):
            if n is None or all(count % n == 0 for count in counts):
                continue
            near = [max(n, n * round(count / n)) for count in counts]
            written = near[0] if field == "seeds" else sorted(set(near))
            allowed = f"equally many seeds on each of the {n} layouts: a multiple of {n}"
            given = self.seeds if field == "seeds" else counts
            raise InvalidInput(field, given, allowed, f"Write {field}: {written}.")
        return self

    @property
    def planned_looks(self) -> list[int]:
        """Numbers of seeds at which verdicts may be read."""
        return self.looks or [self.seeds]

    def blocks(self) -> list[tuple[Study, dict[str, str]]]:
        """The study itself and each extra block as a study, each with how its keys are written.

        A key that the block gives is written ``also[0].gamma``, any other ``gamma``.
        """
        plain = {key: key for key in Study.model_fields}
        extra = []
        for i, block in enumerate(self.also):
            given = {key: getattr(block, key) for key in block.model_fields_set}
            written = plain | {key: f"also[{i}].{key}" for key in given}
            extra.append((self.model_copy(update=given), written))
        return [(self, plain), *extra]


_NESTED: Nested = {
    (Study, "worlds"): WorldEntry,
    (Block, "worlds"): WorldEntry,
    (Study, "hypotheses"): Hypothesis,
    (Study, "also"): Block,
}


def shipped_studies() -> dict[str, Path]:
    """Name -> path of the studies inside the package."""
    folder = Path(str(resources.files("powerseek.experiments") / "studies"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def resume_line(out: Path | str) -> str:
    """The command that goes on with the study which a results directory holds."""
    words = ["powerseek", "sweep", str(Path(out) / layout.STUDY), "--out", str(out), "--resume"]
    return shlex.join(words)


def find_study(study: str | Path) -> Path:
    """The file that a path or the name of a shipped study stands for.

    Raises:
        InvalidInput: Neither a file nor a shipped study.
    """
    path, shipped = Path(study), shipped_studies()
    hint = did_you_mean(study, list(shipped))
    try:
        if path.is_file():
            return path
        if (path / layout.STUDY).is_file():
            hint = f"To go on with what it holds: {resume_line(path)}"
    except OSError as error:  # a folder that may not be read, a name that is too long
        hint = f"{error.strerror}."
    if str(study) in shipped:
        return shipped[str(study)]
    allowed = f"a path to a study file, or a shipped study: {', '.join(shipped) or 'none'}"
    raise InvalidInput("STUDY", str(study), allowed, hint)


def load_study(study: str | Path) -> Study:
    """Read and validate a study file, or a shipped study by its name.

    Only the shape of the file is checked here; `powerseek.experiments.study.checked.cells` builds
    every world, reward and agent in it.

    Raises:
        InvalidInput: Not a file, not YAML, not a mapping, an unknown key, a wrong type or a
            value out of range; names the field, the value and what is allowed.
    """
    return make_study(read_study(study))


def read_study(study: str | Path) -> dict[str, Any]:
    """What a study file, or a shipped study by its name, holds; not validated yet.

    Raises:
        InvalidInput: Not a file, not YAML or not a mapping.
    """
    path = find_study(study)
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_LENGTH + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("STUDY", str(path), "a readable UTF-8 text file", str(error)) from None
    return _mapping(text, str(path))


def parse_study(text: str, source: str = "study") -> Study:
    """A study from the text of its file; see `load_study`."""
    return make_study(_mapping(text, source))


def _mapping(text: str, source: str) -> dict[str, Any]:
    data = read_yaml(text, "STUDY", source)
    if not isinstance(data, dict):
        hint = "Write for example {name: mine, worlds: [{id: homestead}], timesteps: 100000}."
        kind = type(data).__name__ if data is not None else "nothing"
        raise InvalidInput("STUDY", source, f"a YAML mapping (it holds {kind})", hint)
    return data


def make_study(data: Mapping[str, Any]) -> Study:
    """A study from a mapping; see `load_study`."""
    try:
        return Study.model_validate(dict(data))
    except ValidationError as error:
        errors = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        raise study_error_line(errors[0], data, Study, _NESTED) from None
