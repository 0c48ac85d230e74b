"""The grid of a study: an immutable list of cells, and of trials (cell x seed)."""

from __future__ import annotations

import hashlib
import itertools
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

from powerseek.agents import check_agent
from powerseek.agents.phases import check_phases, phase_rewards
from powerseek.agents.settings import PHASES
from powerseek.agents.spec import agent_label, read_agent
from powerseek.envs.rewards.spec import (
    ConfoundWarning,
    RewardFunction,
    Spec,
    aim_of,
    is_learnt,
    price_of,
    reads_acquired,
    reward_name,
    reward_windows,
)
from powerseek.envs.task import Task
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.experiments.study.errors import did_you_mean
from powerseek.experiments.study.factors import (
    FACTORS,
    Level,
    factor_level,
    levels_of,
    written_level,
)
from powerseek.experiments.study.lookahead import lookahead_of, refuse_idle, rewards_of
from powerseek.experiments.study.schema import Study, WorldEntry
from powerseek.metrics import exactly_followed, followed_metrics, known_metric
from powerseek.registry import agents, list_agents, list_worlds, make_world, worlds


def canonical_study_json(value: object) -> str:
    """JSON that is the same for equal values in every process."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_hash(value: object) -> str:
    """sha256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical_study_json(value).encode()).hexdigest()


Names: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class Cell:
    """One treatment: everything that fixes a trial except its seed.

    Attributes:
        world: World id.
        version: The world's version.
        params: All of the world's parameters.
        reward: Reward function, as studies write it.
        power_weight: Reward per change in weighted holdings.
        gamma: Discount in (0, 1].
        time_limit: ``terminal`` or ``bootstrap``.
        gae_lambda: Value-target length, where the study sets it (it stands in settings too).
        n_step: Value-target length in steps, likewise.
        lookahead: Overseer's look-ahead h in steps (it stands in the reward too), None where the
            reward has none.
        agent: Agent id.
        settings: All of the agent's settings.
        agent_spec: Those of them that the study names the agent by.
        timesteps: Environment steps of training; 0 of a reference, which is not trained.
        phases: Name of the list of phases that it is trained by, where the study gives some (the
            list stands in settings).
        windows: k of each accumulator that is observed.
        acquired_so_far: Whether the units acquired in an episode are observed.
        competence: Levels at which the trial is also measured.
        episodes: Episodes of each evaluation.
        evaluations: Evaluations while training.
        shift: Parameters of the world in which it is measured too, once it is trained, where they
            differ from `params`.
    """

    world: str
    version: int
    params: Mapping[str, Any]
    reward: Spec
    agent: str
    timesteps: int
    phases: str | None = None
    power_weight: float = 0.0
    gamma: float = 1.0
    time_limit: str = "terminal"
    gae_lambda: float | None = None
    n_step: int | None = None
    lookahead: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    agent_spec: Mapping[str, Any] = field(default_factory=dict)
    windows: tuple[int, ...] = ()
    acquired_so_far: bool = False
    competence: tuple[float, ...] = (0.9,)
    episodes: int = 1000
    evaluations: int = 15
    shift: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shifted(self) -> Cell | None:
        """The cell as if it were trained where it is measured too; None where it is not."""
        if not self.shift:
            return None
        return replace(self, params={**self.params, **self.shift}, shift={})

    @property
    def shift_label(self) -> str | None:
        """Its shift as results write it: ``openness 2, max_steps 64``; None where there is none."""
        told = [f"{k} {written_level(factor_level(v))}" for k, v in sorted(self.shift.items())]
        return ", ".join(told) or None

    @property
    def max_steps(self) -> int:
        """The time limit T of an episode."""
        return int(self.params["max_steps"])

    @property
    def reward_label(self) -> str:
        """The reward function as results write it."""
        return reward_name(self.reward)

    @property
    def agent_label(self) -> str:
        """The agent as results write it."""
        return agent_label(self.agent, self.agent_spec)

    @property
    def place(self) -> str:
        """The configuration of its world in words: ``homestead openness 2, max_steps 28``."""
        named = [
            f"{k} {self.params[k]}" for k in ("openness", "goal", "layout") if k in self.params
        ]
        return f"{self.world} {', '.join([*named, f'max_steps {self.max_steps}'])}"

    @property
    def aim(self) -> str | None:
        """What the reward's overseer wants; None where nobody judges."""
        return aim_of(self.reward) or None

    @property
    def price(self) -> float:
        """Success that a unit of acquisition costs under the reward; 0 where it costs nothing."""
        return price_of(self.reward)

    @property
    def config(self) -> dict[str, Any]:
        """The whole configuration as plain JSON values."""
        config: dict[str, Any] = json.loads(canonical_study_json(asdict(self)))
        if not self.acquired_so_far:  # so that trials without prices stay what they are
            del config["acquired_so_far"]
        if not self.agent_spec:  # likewise, of agents named by their id alone
            del config["agent_spec"]
        if self.phases is None:
            del config["phases"]
        if not self.shift:
            del config["shift"]
        if self.aim is not None:  # a judge's aim was another one where nothing is said
            config["aim"] = self.aim
        return config

    @cached_property
    def key(self) -> str:
        """Short hex identity."""
        return content_hash(self.config)[:16]

    @property
    def is_reference(self) -> bool:
        """True if it is no treatment but something to hold treatments against."""
        return self.timesteps == 0

    def label(self) -> str:
        """The cell in words, what matters most first, short enough for a folder name."""
        own = [f.name for f in FACTORS if f.of == "world" and f.name in self.params]
        named = [f"{k}={self.params[k]}" for k in own]
        weight = [f"w={self.power_weight:g}"] if self.power_weight else []
        phases = [] if self.phases is None else [f"phases={self.phases}"]
        shift = [f"shift={self.shift_label}"] if self.shift else []
        told = self.reward_label, f"gamma={self.gamma:g}", *weight, *phases, *named, *shift
        return " ".join([*told, self.agent_label])

    def task(self, world: World, holdings_scale: float = 1.0) -> Task:
        """The task that an agent of this cell is trained on, in `world`."""
        return Task(
            world,
            self.reward,
            gamma=self.gamma,
            time_limit=self.time_limit,
            power_weight=self.power_weight,
            windows=self.windows,
            holdings_scale=holdings_scale,
            acquired_so_far=self.acquired_so_far,
        )


@dataclass(frozen=True)
class Trial:
    """One cell with one seed.

    Attributes:
        cell: The treatment.
        seed: Training seed, of the same integers in every cell.
        study: Name of the study (a label: not part of the identity).
        curves: Metrics that are followed while it trains; no part of the identity either, as they
            change no row.
    """

    cell: Cell
    seed: int
    study: str = ""
    curves: tuple[str, ...] = field(default_factory=followed_metrics, compare=False)

    @property
    def sampled_curves(self) -> tuple[str, ...]:
        """Metrics that are followed on episodes."""
        return tuple(id for id in self.curves if known_metric(id).sampled)

    @property
    def exact_curves(self) -> tuple[str, ...]:
        """Metrics of which exact values are followed too, late in training."""
        return exactly_followed(self.curves)

    @property
    def config(self) -> dict[str, Any]:
        """The whole configuration as plain JSON values."""
        return {**self.cell.config, "seed": self.seed}

    @cached_property
    def key(self) -> str:
        """Short hex identity: equal configurations have equal keys, in every process."""
        return content_hash(self.config)[:16]

    @classmethod
    def from_config(cls, config: Mapping[str, Any], study: str = "") -> Trial:
        """The trial whose ``config`` this is."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in config.items()
        }
        seed = int(values.pop("seed"))
        values.pop("aim", None)  # it stands in the reward
        return cls(Cell(**values), seed, study)


def expand(study: Study) -> tuple[Cell, ...]:
    """Every treatment of a study, each once, in the order of the file, its hypotheses unseen.

    Every world, reward function and agent is built on the way.

    Raises:
        InvalidInput: Something cannot be built; names the field of the study.
    """
    _refuse_unavailable(study)
    refuse_idle(study)
    _refuse_layouts(study)
    _refuse_equal_levels(study)
    entries: dict[Row, _Entry] = {}
    for block, written in study.blocks():
        for i, world in enumerate(block.worlds):
            for entry in _entries(block, world, f"{written['worlds']}[{i}]", written):
                entries.setdefault(row_of(entry.cell), entry).refuse_other(entry)
    grid = tuple(entry.cell for entry in entries.values())
    _refuse_idle_cohort(study, grid)
    grid = _with_accumulators(grid)
    _refuse_shifts(zip((entry.where for entry in entries.values()), grid, strict=True))
    return grid


Row: TypeAlias = frozenset[tuple[str, Level]]


def row_of(cell: Cell) -> Row:
    """The identity of a cell in results: two cells with one row would count every seed twice."""
    told = {"agent": cell.agent, "layout": factor_level(cell.params.get("layout"))}
    return frozenset({**levels_of(cell), **told}.items())


@dataclass(frozen=True)
class _Entry:
    """A cell with the reward function it is trained on, and where the study's file has it."""

    cell: Cell
    reward: RewardFunction
    where: str
    names: Names

    def refuse_other(self, other: _Entry) -> None:
        """Refuse another treatment that results could not tell from this one.

        The same treatment written in another way (`{coverage: 1}` and `{coverage: 1.0}`, a
        parameter or setting at its default) is let pass: it stands there once, as first written.
        """
        ours, theirs = self.cell.config, other.cell.config
        known = [name for name in ours if name != "agent_spec"]
        differing = [name for name in known if ours[name] != theirs[name]]
        if self.cell.reward == other.cell.reward or self.reward == other.reward:
            differing = [name for name in differing if name != "reward"]
        if not differing:
            return
        told = [f"{name} {canonical_study_json(ours[name])}" for name in differing]
        raise InvalidInput(
            f"{other.where}, {other.names['rewards']}",
            {name: theirs[name] for name in differing},
            f"a treatment that results can tell from that of {self.where}, "
            f"{self.names['rewards']} ({', '.join(told)}): both would be the row "
            f"{self.cell.label()!r}",
            "Leave one of them out.",
        )


def reference_cells(study: Study, grid: Sequence[Cell]) -> tuple[Cell, ...]:
    """A cell for every reference agent in every configuration of a world that can have it.

    Where its choices depend on the reward, it is that of the configuration's first unpaid treatment
    with the longest view (maximum gamma).

    Args:
        study: The study.
        grid: Its treatments.

    Raises:
        InvalidInput: An agent that learns, is unknown, or that no world of the study can have.
    """
    first: dict[str, Cell] = {}
    for cell in sorted(grid, key=lambda cell: (cell.power_weight, -cell.gamma)):
        place = [cell.world, cell.config["params"], cell.config.get("shift")]
        first.setdefault(canonical_study_json(place), cell)
    without_learning = [name for name in list_agents() if not agents.get(name).learns]
    cells: list[Cell] = []
    for i, written in enumerate(study.references):
        where = f"references[{i}]"
        agent, spec = read_agent(written)
        if agent not in without_learning:
            allowed = f"an agent that does not learn: {', '.join(without_learning)}"
            raise InvalidInput(where, agent, allowed, did_you_mean(agent, without_learning))
        found, refused = 0, None
        for cell in first.values():
            same = replace(cell, agent=agent, agent_spec=spec, timesteps=0, power_weight=0.0)
            try:
                with without_reward_warnings():
                    task = same.task(make_world(cell.world, **cell.params))
                    cells.append(replace(same, settings=check_agent(task, agent, spec)))
                found += 1
            except InvalidInput as error:
                refused = error
        if refused is not None and not found:
            name = refused.field.removeprefix("settings.")
            if spec and name != refused.field:
                where = f"{where}.{agent}{'' if name == agent else f'.{name}'}"
                raise InvalidInput(where, refused.value, refused.allowed, refused.hint)
            allowed = f"an agent that some world of the study can have ({refused.allowed})"
            raise InvalidInput(where, agent, allowed)
    return tuple({row_of(cell): cell for cell in cells}.values())


def trials_by_seed(study: Study, grid: Sequence[Cell]) -> tuple[Trial, ...]:
    """The trials of a study's cells, seed by seed, so that a sweep cut short has whole seeds.

    Of a study with layouts a seed is trained on one, the same in all cells. The references come
    last, once each: what they do does not hang on a training seed.
    """
    asked = [measure for said in study.hypotheses for measure in said.followed]
    told = study.name, followed_metrics([*asked, *_optimised(grid)])
    seeds = range(study.first_seed, study.first_seed + study.seeds)
    pairs = cells_with_seeds(grid, seeds, study.layouts)
    trained = (Trial(cell, seed, *told) for cell, seed in pairs)
    once = (Trial(cell, 0, *told) for cell in reference_cells(study, grid))
    return (*trained, *once)


def _optimised(grid: Sequence[Cell]) -> Iterator[str]:
    """What over-optimisation of a reward that is learnt is told by, beside what all follow."""
    learnt = [cell for cell in grid if is_learnt(cell.reward)]
    if learnt:
        yield "divergence"
    if any(cell.price for cell in learnt):  # the aim weighs what is acquired
        yield "acquired"


def cells_with_seeds(
    grid: Sequence[Cell], seeds: Sequence[int], layouts: int | None
) -> Iterator[tuple[Cell, int]]:
    """Each cell with each seed that is trained in it, seed by seed.

    Args:
        grid: The cells, with layouts on each of them.
        seeds: The seeds, rising.
        layouts: Layouts in which they are nested: seed number i, from 0, is trained on layout 1 +
            i mod layouts. None where every seed is trained in every cell.
    """
    for i, seed in enumerate(seeds):
        for cell in grid:
            if layouts is None or cell.params["layout"] == 1 + i % layouts:
                yield cell, seed


def on_first_layout(cells: Sequence[Cell], layouts: int | None) -> list[Cell]:
    """Each cell once: of cells that seeds nested in layouts stand for, those on the first."""
    return [cell for cell in cells if layouts is None or cell.params["layout"] == 1]


def _refuse_layouts(study: Study) -> None:
    """Refuse layouts in a world that draws none, another layout, and claims that know none."""
    # Where each layout has one seed, a test over seeds is one over layouts.
    for i, said in enumerate(study.hypotheses if study.layouts not in (None, study.seeds) else ()):
        if said.contrast.name == "budget":
            allowed = "no claim about budgets: their test knows seeds alone, not seeds of layouts"
            hint = f"Write layouts: {study.seeds}, one for each seed, or leave layouts out."
            raise InvalidInput(f"hypotheses[{i}].contrast", said.contrast.written, allowed, hint)
    for block, written in study.blocks() if study.layouts else ():
        for i, entry in enumerate(block.worlds):
            where = f"{written['worlds']}[{i}]"
            with _named({}, f"{where}.id"):
                known = worlds.get(entry.id)
            if not draws_layouts(known):
                others = [id for id in list_worlds() if draws_layouts(worlds.get(id))]
                allowed = f"worlds that draw a layout by its number: {', '.join(others) or 'none'}"
                hint = "Leave layouts out, or give this world a study of its own."
                if "layout" in known.parameters:
                    hint = "Its layouts have names. Write params: {layout: [...]}, without layouts."
                raise InvalidInput(f"{where}.id", entry.id, allowed, hint)
            if "layout" in entry.params:
                allowed = f"no value: layouts: {study.layouts} says which are used"
                given = entry.params["layout"]
                raise InvalidInput(f"{where}.params.layout", given, allowed, "Leave one out.")


def draws_layouts(world: type[World]) -> bool:
    """Whether a world has a `layout` that is the number of a draw."""
    known = world.parameters.get("layout")
    return known is not None and type(known.default) is int


def _refuse_unavailable(study: Study) -> None:
    for where, settings in (
        ("", study.settings),
        *((f"worlds[{i}].", entry.settings) for i, entry in enumerate(study.worlds)),
    ):
        for agent in settings:
            try:
                agents.get(agent)
            except InvalidInput as error:
                named = f"{where}settings", error.value, error.allowed, error.hint
                raise InvalidInput(*named) from None


def _refuse_equal_levels(study: Study) -> None:
    """Refuse levels of competence that have one name in results."""
    named: dict[str, float] = {}
    for x in study.competence:
        if named.setdefault(f"{x:g}", x) != x:
            allowed = f"levels that differ in their first six digits (not from {named[f'{x:g}']!r})"
            raise InvalidInput("competence", x, allowed)


def _refuse_shifts(cells: Iterable[tuple[str, Cell]]) -> None:
    """Refuse a shift to where agents cannot be measured, or that changes nothing anywhere.

    Args:
        cells: Each with where the study's file has its world.
    """
    changes: dict[tuple[str, str], bool] = {}
    for where, cell in cells:
        shifted = cell.shifted
        if shifted is None:
            continue
        known = worlds.get(cell.world).offered()
        for name in cell.shift:
            if name not in known:
                allowed = f"a parameter of {cell.world}: {', '.join(known)}"
                raise InvalidInput(f"{where}.shift", name, allowed, did_you_mean(name, list(known)))
        fields = {name: f"{where}.shift.{name}" for name in cell.shift}
        with (
            _named(fields, f"{where}.shift", strip=f"{cell.world}."),
            without_reward_warnings(),
        ):
            here = cell.task(make_world(cell.world, **cell.params))
            there = shifted.task(make_world(cell.world, **shifted.params))
            _refuse_other_eyes(cell, here, there)
        key = where, canonical_study_json(cell.shift)
        changes[key] = changes.get(key, False) or there.world.params != here.world.params
    for (where, told), changed in changes.items():
        if not changed:
            allowed = "parameters that differ from those of training, of one level at least"
            raise InvalidInput(f"{where}.shift", json.loads(told), allowed, "Leave shift out.")


def _refuse_other_eyes(cell: Cell, here: Task, there: Task) -> None:
    """Refuse a shift to where other things are observed or done: no agent fits both."""
    for what, ours, theirs in (
        ("observations", here.observation_names, there.observation_names),
        ("actions", here.world.action_names, there.world.action_names),
    ):
        if ours != theirs:
            allowed = (
                f"parameters that leave an agent's {what} what they were in training "
                f"({len(ours)} of them; there {len(theirs)})"
            )
            hint = "Change other parameters, or train there."
            raise InvalidInput("shift", dict(cell.shift), allowed, hint)


def _refuse_idle_cohort(study: Study, grid: Sequence[Cell]) -> None:
    """A number of agents side by side must not stand where no agent is trained so."""
    if study.cohort is None or any(agents.get(cell.agent).shared is not None for cell in grid):
        return
    used = ", ".join(dict.fromkeys(cell.agent for cell in grid))
    allowed = f"no value: no agent of this study ({used}) is trained in cohorts"
    raise InvalidInput("cohort", study.cohort, allowed, "Write agents: [cohort-ppo].")


def _entries(block: Study, entry: WorldEntry, where: str, written: Names) -> Iterator[_Entry]:
    """The product of all factors in one world."""
    agents = [read_agent(spec) for spec in entry.agents or block.agents]
    for world in _worlds(block, entry, where, written):
        factors = itertools.product(
            list(rewards_of(block, written)),
            block.power_weight,
            block.gamma,
            block.time_limit,
            block.gae_lambda or (None,),
            block.n_step or (None,),
            agents,
            entry.timesteps or block.timesteps,
            block.phases or (None,),
            entry.shift or ({},),
        )
        for (reward, names), weight, gamma, limit, lam, n_step, named, timesteps, *rest in factors:
            (phases, shift), (agent, spec) = rest, named
            trained = spec if phases is None else {PHASES: (block.phases or {})[phases]}
            cell = Cell(
                world=world.id,
                version=world.version,
                params=world.params._asdict(),
                reward=reward,
                power_weight=weight,
                gamma=gamma,
                time_limit=limit,
                gae_lambda=lam,
                n_step=n_step,
                agent=agent,
                timesteps=timesteps,
                phases=phases,
                windows=_shown(trained, world),
                competence=tuple(dict.fromkeys(block.competence)),
                episodes=block.episodes,
                evaluations=block.evaluations,
                shift=shift,
            )
            if entry.agents:
                names = {**names, "agents": f"{where}.agents"}
            with _named(names, names["rewards"]), without_reward_warnings():
                task = cell.task(world)
            for chosen, told in _settings(cell, spec, task, block, entry, where, names):
                whole = replace(cell, settings=chosen, agent_spec=told)
                whole = replace(whole, lookahead=lookahead_of(task))
                yield _Entry(whole, task.reward_function, where, names)


def _shown(settings: Mapping[str, Any], world: World) -> tuple[int, ...]:
    """Accumulators that the rewards of phases need; what is no reward is refused elsewhere."""
    try:
        return reward_windows(phase_rewards(settings), world.max_steps)
    except InvalidInput:
        return ()


def _worlds(block: Study, entry: WorldEntry, where: str, written: Names) -> Iterator[World]:
    """Each world of an entry: openness x goals x time limits x layouts, built."""
    limits = entry.max_steps or block.max_steps
    factors = {"openness": entry.openness, "goal": entry.goals, "max_steps": limits}
    given = {name: values for name, values in factors.items() if values is not None}
    for name in given:
        if name in entry.params:
            hint = "Write it in one place only."
            raise InvalidInput(f"{where}.params.{name}", entry.params[name], "no value", hint)
    with _named({}, f"{where}.id"):
        known = worlds.get(entry.id)
    fields = {
        **{name: f"{where}.params.{name}" for name in known.offered()},
        "openness": f"{where}.openness",
        "goal": f"{where}.goals",
        "max_steps": f"{where}.max_steps" if entry.max_steps else written["max_steps"],
        **{name: f"{where}.params.{name}" for name in entry.params},
    }
    defaults = {name: param.default for name, param in known.offered().items()}
    params = {name: _levels(value, defaults.get(name)) for name, value in entry.params.items()}
    given = {**params, **given}
    if block.layouts:
        given["layout"], fields["layout"] = list(range(1, block.layouts + 1)), "layouts"
    for values in itertools.product(*given.values()):
        chosen = dict(zip(given, values, strict=True))
        with _named(fields, f"{where}.id", strip=f"{known.id}."):
            world = known(**chosen)
        yield world


def _levels(value: Any, default: Any) -> list[Any]:
    """The levels of a parameter or setting: a list is one of levels, where a value is no list."""
    listed = isinstance(value, list) and bool(value)
    if listed and isinstance(default, list | tuple):
        listed = all(isinstance(level, list) for level in value)
    return value if listed else [value]


def _settings(
    cell: Cell,
    spec: Mapping[str, Any],
    task: Task,
    block: Study,
    entry: WorldEntry,
    where: str,
    written: Names,
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """All settings of the cell's agent, and those that its spec gives it.

    Its own, replaced by the study's, by the world's, and by those of its spec. Several where one is
    given levels.
    """
    agent = cell.agent
    factors: dict[str, Any] = {"gae_lambda": cell.gae_lambda, "n_step": cell.n_step}
    if cell.phases is not None:
        if PHASES not in agents.get(agent).recipe:
            known = [id for id in list_agents() if PHASES in agents.get(id).recipe]
            allowed = f"agents that are trained by phases: {', '.join(known)}"
            hint = "Give the others a block of their own: also: [{agents: [...]}]."
            raise InvalidInput(written["agents"], agent, allowed, hint)
        factors[PHASES] = (block.phases or {})[cell.phases]
        written = {**written, PHASES: f"{written[PHASES]}.{cell.phases}"}
    names = {name: f"settings.{agent}.{name}" for name in block.settings.get(agent, {})}
    names |= {name: f"{where}.settings.{agent}.{name}" for name in entry.settings.get(agent, {})}
    names |= {name: f"{written['agents']}.{agent}.{name}" for name in spec}
    given = {**block.settings.get(agent, {}), **entry.settings.get(agent, {}), **spec}
    for name, value in factors.items():
        if value is not None:
            if name in given:
                hint = f"{written[name]} sets it; write it in one place only."
                raise InvalidInput(names[name], given[name], "no value", hint)
            given[name], names[name] = value, written[name]
    beside = {"agent": written["agents"], "time_limit": written["time_limit"]}
    whole, own = names | beside, f"settings.{agent}."
    with _named(whole, written["agents"], strip="settings.", own=own):
        listed = any(isinstance(value, list) for value in given.values())
        defaults = {PHASES: []} | (check_agent(task, agent) if listed else {})
        levels = {name: _levels(value, defaults.get(name)) for name, value in given.items()}
        for values in itertools.product(*levels.values()):
            chosen = dict(zip(levels, values, strict=True))
            found = check_agent(task, agent, chosen)
            check_phases(found, task, cell.timesteps)
            yield found, {name: chosen[name] for name in spec}


@contextmanager
def without_reward_warnings() -> Iterator[None]:
    """Without the confound warning of each reward: `lint.study_cautions` says it once per study."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConfoundWarning)
        yield


@contextmanager
def _named(
    written: Mapping[str, str], otherwise: str, strip: str = "", own: str = ""
) -> Iterator[None]:
    """Give an error the name under which the study's author wrote the field.

    Args:
        written: Names by field.
        otherwise: The name of a field that stands nowhere.
        strip: What fields begin with in errors.
        own: What they begin with in studies: so that one is named that is nowhere written.
    """
    try:
        yield
    except InvalidInput as error:
        known = error.field.removeprefix(strip)
        otherwise = f"{own}{known}" if own and known != error.field else otherwise
        listed = known.partition("[")[0]
        if listed != known and listed in written:
            otherwise = written[listed] + known.removeprefix(listed)
        for name in (known, error.value):
            if isinstance(name, str) and name in written:
                otherwise = written[name]
                break
        raise InvalidInput(otherwise, error.value, error.allowed, error.hint) from None


def _with_accumulators(grid: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """Every agent observes one accumulator for each distinct k of the study at its time limit.

    Where a reward of the study pays for what is acquired in an episode, it observes that too, in
    every world that has it.
    """
    rewards: dict[int, list[Spec]] = {}
    for cell in grid:
        own = rewards.setdefault(cell.max_steps, [])
        own += [cell.reward, *phase_rewards(cell.settings)]
    every = [spec for specs in rewards.values() for spec in specs]
    windows = {steps: reward_windows(specs, steps) for steps, specs in rewards.items()}
    counts = {
        cell.world: bool(make_world(cell.world, **cell.params).role("resource"))
        for cell in (grid if reads_acquired(every) else ())
    }
    return tuple(
        replace(
            cell,
            windows=windows[cell.max_steps],
            acquired_so_far=counts.get(cell.world, False),
        )
        for cell in grid
    )
