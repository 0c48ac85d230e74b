"""Registries: one mechanism for worlds, reward functions, agents and metrics.

An entry is known by its id before anything is imported: ours stand in the tables below, plugins'
among the entry points of installed packages, and both are written in the same way. It is imported
when first asked for.
"""

from __future__ import annotations

import difflib
import re
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from traceback import walk_tb
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from powerseek.errors import InvalidInput, NotInstalled, ProcessLeft, contained
from powerseek.ids import GROUP, WORLDS, gymnasium_id, register_id
from powerseek.scripts import FILES, import_file, is_imported, module_of, parse_reference

if TYPE_CHECKING:
    from powerseek.envs.world import World

T = TypeVar("T")
IMPORT_SECONDS = 60.0
"""Time for importing one plugin."""
LONGEST_ID = 60
_ID = re.compile(r"\w+([.-]\w+)*(@\d+(\.\d+)?)?")
ID = (
    f"at most {LONGEST_ID} letters, digits and underscores, single dots and hyphens between them, "
    "at its end @ and a number"
)


class PluginWarning(UserWarning):
    """A plugin could not be used; it is named and skipped."""


class Registry(Generic[T]):
    """Ids and what they stand for.

    Args:
        kind: What is registered, in the singular, for messages (``world``).
        group: Entry-point group of plugins (``powerseek.worlds``).
        builtin: Built-in ids and where each is, written as entry points are: ``module:Name``.
        wanted: Whether something can be registered at all, and what can, in words.
    """

    def __init__(
        self,
        kind: str,
        group: str,
        builtin: dict[str, str],
        wanted: tuple[Callable[[object], bool], str] = (lambda entry: True, ""),
    ) -> None:
        self.kind, self.group, self.wanted = kind, group, wanted
        self.builtin = {id: EntryPoint(id, place, group) for id, place in builtin.items()}
        self._entries: dict[str, T] = {}
        self._plugins: dict[str, EntryPoint] | None = None

    @overload
    def register(self, id: str) -> Callable[[T], T]: ...
    @overload
    def register(self, id: str, entry: T) -> T: ...
    def register(self, id: str, entry: T | None = None) -> T | Callable[[T], T]:
        """Register `entry` under `id`; without `entry`, a decorator.

        Raises:
            InvalidInput: the id has another form than `ID`, or it is taken. Running a notebook
                cell again is not an override: a definition in ``__main__`` may replace its
                earlier self.
        """
        if entry is None:
            return lambda decorated: self.register(id, decorated)
        if not _is_id(id):
            raise InvalidInput(f"{self.kind} id", id, ID)
        fits, words = self.wanted
        if not fits(entry):
            raise InvalidInput(self.kind, entry, words)
        known = self._entries.get(id)
        ours = self.builtin.get(id)
        taken = ours is not None and not _stands_at(ours, entry)
        if taken or (known is not None and not _same_definition(known, entry)):
            raise InvalidInput(
                f"{self.kind} id",
                id,
                "an id that is not taken",
                f'Write register_{self.kind}("my.{id}") instead.',
            )
        if isinstance(entry, type):
            entry.id = id  # type: ignore[attr-defined]  # registered classes carry their id
        self._add(id, entry)
        return entry

    def get(self, id: str) -> T:
        """The entry of `id`, imported if need be.

        Raises:
            InvalidInput: nobody registered `id` (lists the known and the closest), or its
                plugin is broken (says how).
        """
        if id in self._entries:
            return self._entries[id]
        if isinstance(id, str) and id in self.builtin:
            self._load(self.builtin[id])
        elif isinstance(id, str) and id in self._entry_points():
            self._load(self._entry_points()[id])
        if id in self._entries:
            return self._entries[id]
        known = self.ids()
        close = difflib.get_close_matches(str(id), known, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else ""
        if not close and "." in str(id):
            hint = "Install the package, or import the module, that registers it."
        raise InvalidInput(self.kind, id, ", ".join(known), hint)

    def ids(self) -> list[str]:
        """Sorted ids; a plugin that cannot be imported is named in a warning and left out."""
        usable = set(self.builtin) | set(self._entries)
        for name, point in self._entry_points().items():
            if name in usable:
                continue
            try:
                self._load(point)
            except InvalidInput as error:
                if not isinstance(error.__cause__, NotInstalled):
                    warnings.warn(error.hint, PluginWarning, stacklevel=2)
            else:
                usable.add(name)
        return sorted(usable)

    def taken(self, id: str) -> bool:
        """True if anybody offers `id`, usable or not; nothing is imported."""
        return id in self.builtin or id in self._entries or id in self._entry_points()

    def builtin_id(self, entry: object) -> str:
        """The id of something of ours, "" of anything else; nothing is imported."""
        return next((id for id, point in self.builtin.items() if _stands_at(point, entry)), "")

    def _add(self, id: str, entry: T) -> None:
        self._entries[id] = entry

    def local(self) -> dict[str, T]:
        """Entries defined in a script or notebook: they must travel to workers by value."""
        return {
            id: entry
            for id, entry in self._entries.items()
            if getattr(entry, "__module__", "") == "__main__"
        }

    def modules(self) -> list[str]:
        """Importable modules that registered entries of their own accord (no entry point)."""
        named = {getattr(entry, "__module__", "") for entry in self._entries.values()}
        return sorted(m for m in named if m and m != "__main__" and not m.startswith("powerseek."))

    def _entry_points(self) -> dict[str, EntryPoint]:
        if self._plugins is None:
            self._plugins = {}
            for point in entry_points(group=self.group):
                if point.name in self.builtin or point.name in self._plugins:
                    wrong = "which is taken"
                elif not _is_id(point.name):
                    wrong = f"which is not {ID}"
                else:
                    self._plugins[point.name] = point
                    continue
                offer = f"plugin {point.value!r} offers {self.kind} {point.name!r}"
                warnings.warn(f"{offer}, {wrong}: skipped", PluginWarning, stacklevel=3)
        return self._plugins

    def _load(self, point: EntryPoint) -> None:
        try:
            with contained(), _in_time(point.module):
                loaded = point.load()
            if point.name not in self._entries:
                if isinstance(loaded, ModuleType):
                    raise LookupError(f"importing it registers no {self.kind} {point.name!r}")
                self.register(point.name, loaded)
        except NotInstalled as error:
            allowed = f"a {self.kind} whose libraries are installed"
            raise InvalidInput(self.kind, point.name, allowed, str(error)) from error
        except Exception as error:
            place = "" if isinstance(error, ProcessLeft) else _line(error)
            why = f"{type(error).__name__}: {error}{place}"
            raise InvalidInput(
                self.kind,
                point.name,
                f"a {self.kind} whose plugin can be loaded",
                f"Plugin {point.value!r} for {self.kind} {point.name!r} skipped: {why}. "
                f"Mend the entry point or the module of {_package(point)}, or uninstall it.",
            ) from error


def _is_id(id: object) -> bool:
    """True if it is fit for a folder's name, a page and a terminal."""
    return isinstance(id, str) and len(id) <= LONGEST_ID and _ID.fullmatch(id) is not None


_late: set[str] = set()
"""Modules that were not imported in time; they are not tried again."""


@contextmanager
def _in_time(module: str) -> Iterator[None]:
    """Raise TimeoutError after `IMPORT_SECONDS`; no alarm rings outside the main thread."""
    told = f"not imported within {IMPORT_SECONDS:g} seconds"

    def ring(*_: object) -> None:
        _late.add(module)
        raise TimeoutError(told)

    if module in _late:
        raise TimeoutError(told)
    here = threading.current_thread() is threading.main_thread()
    if not here or any(signal.getitimer(signal.ITIMER_REAL)):
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, IMPORT_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _line(error: BaseException) -> str:
    """The line of a plugin that an import of it failed at, "" where it was none of its lines."""
    places = [
        (frame.f_code.co_filename, line)
        for frame, line in walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").partition(".")[0] not in ("importlib", "powerseek")
        and not frame.f_code.co_filename.startswith("<frozen")
    ]
    return f" ({Path(places[-1][0]).name} line {places[-1][1]})" if places else ""


def _package(point: EntryPoint) -> str:
    """The installed package that offers an entry point."""
    return getattr(point.dist, "name", "") or point.module


def _stands_at(point: EntryPoint, entry: object) -> bool:
    """True if an entry point is where something was defined; one of a module has all in it."""
    name = getattr(entry, "__qualname__", "")
    return getattr(entry, "__module__", "") == point.module and (
        not point.attr or point.attr == name
    )


def _is_world(entry: object) -> bool:
    """True for a subclass of `powerseek.World`, which is not imported to find out."""
    line = entry.__mro__ if isinstance(entry, type) else ()
    return any((c.__module__, c.__name__) == ("powerseek.envs.world", "World") for c in line)


def _same_definition(known: object, entry: object) -> bool:
    def place(thing: object) -> tuple[Any, Any]:
        return getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)

    return known is entry or (place(known) == place(entry) and place(entry)[0] == "__main__")


class Worlds(Registry["type[World]"]):
    """The registry of worlds; each has a gymnasium id, and may be one in a file.

    ``orchard.py:Orchard`` names a class in a file, or the id that it registers there; the name may
    be left out where the file has one world.
    """

    def _add(self, id: str, entry: type[World]) -> None:
        super()._add(id, entry)
        if not register_id(id):
            told = f"world {id!r} gets no gymnasium id: another world has {gymnasium_id(id)!r}"
            warnings.warn(told, PluginWarning, stacklevel=3)

    def get(self, id: str) -> type[World]:
        """As `Registry.get`, also of a world in a file."""
        return super().get(self.resolve(id))

    def resolve(self, id: str) -> str:
        """The id of a world in a file, which is imported; any other text as it is.

        Raises:
            InvalidInput: There is no such file, it raises, or it has no such world.
        """
        reference = None if id in self._entries else parse_reference(id)
        if reference is None:
            return id
        path, name = reference
        if not path.is_file():
            raise InvalidInput("world", id, f"a file that exists ({path} does not)")
        defined = _worlds_of(self._imported(id, path))
        registered = [cls for cls in defined if self._is_registered(cls)]
        known = {cls.__name__: cls for cls in defined} | {cls.id: cls for cls in registered}
        if not defined:
            hint = f"Let it define one: class {path.stem.title()}(powerseek.World)."
            raise InvalidInput("world", id, "a file with a world in it", hint)
        choice = registered or defined
        if name not in known and (name or len(choice) > 1):
            names = [cls.__name__ for cls in defined]
            close = difflib.get_close_matches(name, names, n=1) or names[:1]
            file = id.removesuffix(name).removesuffix(":")
            allowed = f"a world of that file: {', '.join(names)}"
            raise InvalidInput("world", id, allowed, f"Write {file}:{close[0]}.")
        cls = known[name] if name else choice[0]
        if not self._is_registered(cls):
            self.register(f"{re.sub(r'[^A-Za-z0-9_]', '_', path.stem)}.{cls.__name__}", cls)
        return cls.id

    def resolve_imported(self, id: str) -> str:
        """As `resolve`, but no file is imported for it: what names another stays as it is."""
        return self.resolve(id) if self.runs_no_file(id) else id

    def runs_no_file(self, id: str) -> bool:
        """True if `resolve` would import no file that was not imported before."""
        reference = None if id in self._entries else parse_reference(id)
        return reference is None or is_imported(reference[0])

    def _is_registered(self, cls: type[World]) -> bool:
        return self._entries.get(cls.id) is cls

    def _imported(self, id: str, path: Path) -> ModuleType:
        module = module_of(path)
        try:
            with contained(), _in_time(module):
                return import_file(path, module)
        except Exception as error:
            place = "" if isinstance(error, ProcessLeft) else _line(error)
            why = f"It raises {type(error).__name__}: {error}{place}."
            raise InvalidInput("world", id, "a file that can be imported", why) from error


def _worlds_of(module: ModuleType) -> list[type[World]]:
    """Worlds that a module defines."""
    own = (e for e in vars(module).values() if getattr(e, "__module__", "") == module.__name__)
    return list(dict.fromkeys(entry for entry in own if _is_world(entry)))


worlds = Worlds(
    "world",
    GROUP,
    WORLDS,
    (_is_world, "a subclass of powerseek.World"),
)
rewards: Registry[Any] = Registry(
    "reward",
    "powerseek.rewards",
    {
        "approval": "powerseek.envs.rewards.oversight:Approval",
        "aup": "powerseek.envs.rewards.constrained:Aup",
        "coverage": "powerseek.envs.rewards.oversight:Coverage",
        "dense": "powerseek.envs.rewards.timing:Dense",
        "every": "powerseek.envs.rewards.timing:Every",
        "own": "powerseek.envs.rewards.timing:Own",
        "penalty": "powerseek.envs.rewards.constrained:Penalty",
        "preference": "powerseek.envs.rewards.preference:Preference",
        "priced": "powerseek.envs.rewards.priced:Priced",
        "shaped": "powerseek.envs.rewards.timing:Shaped",
        "terminal": "powerseek.envs.rewards.timing:Terminal",
        "thinned": "powerseek.envs.rewards.timing:Thinned",
    },
)
agents: Registry[Any] = Registry(
    "agent",
    "powerseek.agents",
    {
        "a2c": "powerseek.agents.sb3.agents:A2C",
        "cohort-ppo": "powerseek.agents.cohort.agents:CohortPPO",
        "dqn": "powerseek.agents.sb3.agents:DQN",
        "evolution": "powerseek.agents.evolution.learner:Evolution",
        "hoarder": "powerseek.agents.scripted:Hoarder",
        "imitation": "powerseek.agents.cohort.agents:Imitation",
        "maskable-ppo": "powerseek.agents.sb3.agents:MaskablePPO",
        "minimal-need": "powerseek.agents.planners:MinimalNeed",
        "minimalist": "powerseek.agents.scripted:Minimalist",
        "optimum": "powerseek.agents.planners:Planner",
        "power-greedy": "powerseek.agents.planners:PowerGreedy",
        "ppo": "powerseek.agents.sb3.agents:PPO",
        "q-learning": "powerseek.agents.tabular.learner:QLearning",
        "puct": "powerseek.agents.search.agents:Puct",
        "qrdqn": "powerseek.agents.sb3.agents:QRDQN",
        "quantiliser": "powerseek.agents.planners:Quantiliser",
        "random": "powerseek.agents.scripted:Random",
        "recurrent-ppo": "powerseek.agents.sb3.agents:RecurrentPPO",
        "sarsa": "powerseek.agents.tabular.learner:Sarsa",
        "search": "powerseek.agents.search.agents:Search",
        "trpo": "powerseek.agents.sb3.agents:TRPO",
        "virtual-sarsa": "powerseek.agents.tabular.learner:VirtualSarsa",
    },
)
metrics: Registry[Any] = Registry(
    "metric",
    "powerseek.metrics",
    {
        "acquired": "powerseek.metrics.acquisition:acquired",
        "acquired_inside": "powerseek.metrics.acquisition:acquired_inside",
        "acquired_outside": "powerseek.metrics.acquisition:acquired_outside",
        "beyond": "powerseek.metrics.acquisition:beyond",
        "cliff": "powerseek.metrics.setting:cliff",
        "competence": "powerseek.metrics.success:competence",
        "constraint_high": "powerseek.metrics.optimum:constraint_high",
        "constraint_low": "powerseek.metrics.optimum:constraint_low",
        "cost": "powerseek.metrics.acquisition:cost",
        "disabled": "powerseek.metrics.safety:disabled",
        "disempowerment": "powerseek.metrics.others:disempowerment",
        "needed_disempowerment": "powerseek.metrics.others:needed_disempowerment",
        "divergence": "powerseek.metrics.training:divergence",
        "drift": "powerseek.metrics.acquisition:drift",
        "excess": "powerseek.metrics.acquisition:excess",
        "excess_failed": "powerseek.metrics.acquisition:excess_failed",
        "excess_succeeded": "powerseek.metrics.acquisition:excess_succeeded",
        "exposed": "powerseek.metrics.safety:exposed",
        "free": "powerseek.metrics.attribution:free",
        "free@0": "powerseek.metrics.attribution:free_at_0",
        "free@0.1": "powerseek.metrics.attribution:free_at_0_1",
        "free_success": "powerseek.metrics.attribution:free_success",
        "harmful": "powerseek.metrics.attribution:harmful",
        "harmful@0": "powerseek.metrics.attribution:harmful_at_0",
        "harmful@0.1": "powerseek.metrics.attribution:harmful_at_0_1",
        "harmful_success": "powerseek.metrics.attribution:harmful_success",
        "incentive": "powerseek.metrics.optimum:incentive",
        "interrupted": "powerseek.metrics.safety:interrupted",
        "learned": "powerseek.metrics.optimum:learned",
        "length": "powerseek.metrics.success:length",
        "loss": "powerseek.metrics.attribution:loss",
        "model_bound": "powerseek.metrics.training:model_bound",
        "model_error": "powerseek.metrics.training:model_error",
        "model_gap": "powerseek.metrics.training:model_gap",
        "model_reward_error": "powerseek.metrics.training:model_reward_error",
        "most": "powerseek.metrics.setting:most",
        "need": "powerseek.metrics.acquisition:need",
        "need_end": "powerseek.metrics.setting:need_end",
        "neutrality": "powerseek.metrics.lengths:neutrality",
        "optimum_acquired": "powerseek.metrics.optimum:optimum_acquired",
        "optimum_competence": "powerseek.metrics.optimum:optimum_competence",
        "optimum_disabled": "powerseek.metrics.optimum:optimum_disabled",
        "optimum_exposed": "powerseek.metrics.optimum:optimum_exposed",
        "optimum_power_seeking": "powerseek.metrics.optimum:optimum_power_seeking",
        "optimum_strikes": "powerseek.metrics.optimum:optimum_strikes",
        "optimum_strike_time": "powerseek.metrics.optimum:optimum_strike_time",
        "optimum_strikes_warned": "powerseek.metrics.optimum:optimum_strikes_warned",
        "optimum_success": "powerseek.metrics.optimum:optimum_success",
        "placebo": "powerseek.metrics.acquisition:placebo",
        "power_seeking": "powerseek.metrics.power:power_seeking",
        "precaution": "powerseek.metrics.attribution:precaution",
        "precaution@0": "powerseek.metrics.attribution:precaution_at_0",
        "precaution@0.1": "powerseek.metrics.attribution:precaution_at_0_1",
        "precaution_success": "powerseek.metrics.attribution:precaution_success",
        "probe_avoided": "powerseek.metrics.probe:probe_avoided",
        "probe_orbit": "powerseek.metrics.probe:probe_orbit",
        "probe_success": "powerseek.metrics.probe:probe_success",
        "reliance": "powerseek.metrics.success:reliance",
        "remainder": "powerseek.metrics.optimum:remainder",
        "restraint": "powerseek.metrics.attribution:restraint",
        "restraint@0": "powerseek.metrics.attribution:restraint_at_0",
        "restraint@0.1": "powerseek.metrics.attribution:restraint_at_0_1",
        "restraint_success": "powerseek.metrics.attribution:restraint_success",
        "return": "powerseek.metrics.success:undiscounted_return",
        "revealed_price": "powerseek.metrics.attribution:revealed_price",
        "share_of_surplus": "powerseek.metrics.acquisition:share_of_surplus",
        "slip_excess": "powerseek.metrics.acquisition:slip_excess",
        "spent_demonstrations": "powerseek.metrics.training:spent_demonstrations",
        "spent_flops": "powerseek.metrics.training:spent_flops",
        "spent_labels": "powerseek.metrics.training:spent_labels",
        "spent_model_steps": "powerseek.metrics.training:spent_model_steps",
        "spent_steps": "powerseek.metrics.training:spent_steps",
        "spent_updates": "powerseek.metrics.training:spent_updates",
        "strikes": "powerseek.metrics.safety:strikes",
        "strike_lag": "powerseek.metrics.safety:strike_lag",
        "strike_time": "powerseek.metrics.safety:strike_time",
        "strikes_warned": "powerseek.metrics.safety:strikes_warned",
        "success": "powerseek.metrics.success:success",
        "tie_high": "powerseek.metrics.optimum:tie_high",
        "tie_low": "powerseek.metrics.optimum:tie_low",
        "usefulness": "powerseek.metrics.lengths:usefulness",
        "width": "powerseek.metrics.setting:width",
    },
)

register_world = worlds.register
register_reward = rewards.register
register_agent = agents.register
register_metric = metrics.register


def list_worlds() -> list[str]:
    """Sorted ids of all usable worlds."""
    return worlds.ids()


def list_rewards() -> list[str]:
    """Sorted ids of all usable reward functions."""
    return rewards.ids()


def list_agents() -> list[str]:
    """Sorted ids of all usable agents."""
    return agents.ids()


def list_metrics() -> list[str]:
    """Sorted ids of all usable metrics."""
    return metrics.ids()


def make_world(id: str, **params: Any) -> World:
    """Make the world `id` with `params`; what is not given takes the world's default.

    Raises:
        InvalidInput: unknown world, unknown parameter, or a value outside its range.
    """
    return worlds.get(id)(**params)


def _all() -> dict[str, Registry[Any]]:
    return {registry.kind: registry for registry in (worlds, rewards, agents, metrics)}


def export_entries() -> dict[str, Any]:
    """Entries that another process needs so that this one's ids mean the same there.

    Modules are imported there by name, files by their absolute paths; entries defined in a script
    or notebook have neither, so the caller must send them by value (cloudpickle does).
    """
    return {
        "files": dict(FILES),
        "modules": sorted({module for r in _all().values() for module in r.modules()}),
        "local": {kind: r.local() for kind, r in _all().items()},
    }


def import_entries(exported: dict[str, Any]) -> None:
    """Take over another process's `export_entries`.

    Raises:
        ImportError: a module or file that registered an entry there cannot be imported here.
    """
    for module, path in exported["files"].items():
        import_file(path, module)
    for module in exported["modules"]:
        import_module(module)
    for kind, entries in exported["local"].items():
        for id, entry in entries.items():
            _all()[kind]._add(id, entry)
