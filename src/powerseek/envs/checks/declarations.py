"""Checks of the conformance kit on what a world declares: names, words, pictures, sizes, speed."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Sequence

import numpy as np

from powerseek.envs.checks.case import EDGES, STATES, Case, Failed, NotApplicable
from powerseek.envs.checks.episodes import (
    SEED,
    make_simulator,
    random_legal_actions,
    record_keys,
    rows,
    state_text,
    visited_records,
    without_flows,
    words,
)
from powerseek.envs.checks.graph import TooLarge, make_graph
from powerseek.envs.engine.expand import TooManyBranches, describe, expand
from powerseek.envs.engine.reason import reason
from powerseek.envs.engine.vec import loop_views
from powerseek.envs.world import REQUIRED_FACTS, World
from powerseek.errors import InvalidInput, WorldError
from powerseek.types import Records

SECTIONS = ("Task", "Observation", "Actions", "Power here", "Not captured")
SPEED_COPIES, SLOWEST = 64, 500.0
"""Fewer steps a second than this, over 64 copies, is a fault and not a slow machine."""
SMALL = 100_000
"""Most states of the smallest setting."""


def check_declarations(case: Case) -> str:
    """Names are there and unique, fields are 8 bytes wide, every parameter has its range."""
    world = case.world
    named = {
        "actions": world.action_names,
        "observation": world.observation_names,
        "facts": tuple(fact.name for fact in world.facts),
    }
    for what, names in named.items():
        _names(what, names)
    missing = [name for name in REQUIRED_FACTS if name not in named["facts"]]
    if missing:
        raise Failed(f"there is no fact {missing[0]!r}", f'Add Fact("{missing[0]}") to facts.')
    if case.foreign:
        return f"{world.n_actions} actions, {len(world.observation_names)} features"
    fields = [*world.state, *world.flows]
    if len({field[0] for field in fields}) < len(fields):
        raise Failed("two fields of the record have one name", "Rename one of them.")
    narrow = [f[0] for f in fields if np.dtype([f]).itemsize % 8 or f[1] not in ("i8", "f8")]
    if narrow:
        raise Failed(
            f"field {narrow[0]!r} is neither i8 nor f8: narrower types wrap",
            f'Write ("{narrow[0]}", "i8") or "f8".',
        )
    _known(world, "abstract", type(world).abstract(world.params), world.identity)
    _known(world, "hidden", type(world).hidden(world.params), world.identity)
    _known(world, "absent", type(world).absent(world.params), named["facts"])
    _known(world, "modified", list(world.modified), world.observation_names)
    _known(world, "modified", list(world.modified.values()), world.action_names)
    _ranges(world)
    _situations(world)
    return (
        f"{world.n_actions} actions, {len(world.observation_names)} features, {len(fields)} fields"
    )


def _names(what: str, names: Sequence[str]) -> None:
    if not names or not all(isinstance(name, str) and name for name in names):
        raise Failed(f"{what} gives {names!r}", f"Let {what} give one or more names.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Failed(f"{what} gives {twice[0]!r} more than once", "Give every one its own name.")


def check_actors(case: Case) -> str:
    """Actors are as many as their parameter allows, each can act in the agent's place, or idle."""
    world, names, parameter = case.world, case.world.actor_names, case.world.actor_parameter
    _names("actors", names)
    if not parameter and len(names) == 1 and not world.noop:
        raise NotApplicable("nobody but the agent acts, and no noop is declared")
    if not parameter and len(names) == 1:
        _known(world, "noop", [world.noop], world.action_names)
        return f"nobody but the agent acts; {_noop(world)}"
    if not parameter:
        raise Failed(
            f"actors gives {len(names)} names and no parameter says whose the input actions are",
            'Declare actor_parameter = "actor", a parameter from 0, the agent, upwards.',
        )
    _known(world, "actor_parameter", [parameter], list(world.parameters))
    _known(world, "idle", list(world.idle), list(world.parameters))
    _known(world, "noop", [world.noop], world.action_names)
    if _with_actor(world, len(names)):
        raise Failed(
            f"{parameter}={len(names)} is allowed and actors gives {len(names)}",
            f"Let actors name everybody, or refuse that {parameter} in check().",
        )
    for k, name in enumerate(names):
        there = _with_actor(world, k)
        if there is None or there.acting != (k,) or there.actor_names != names:
            raise Failed(
                f"{parameter}={k} does not give {name!r} the input actions among {names!r}",
                f"Let {parameter} be the number of a name in actors, the same at all its values.",
            )
        _names(f"actions of {name!r}", there.action_names)
        _names(f"observation of {name!r}", there.observation_names)
        visited_records(there, "random")
    agent = _with_actor(world, 0)
    assert agent is not None
    return f"{', '.join(names)}; {_noop(agent)}"


def _with_actor(world: World, k: int) -> World | None:
    """The world with the input actions those of actor k, the agent idle; None if refused."""
    try:
        return world.replace(**world.idle, **{world.actor_parameter: k})
    except InvalidInput:
        return None


def _noop(world: World) -> str:
    """The agent, whose the input actions are, may do nothing wherever it stands."""
    records = visited_records(world, "random")
    facts, masks, _ = describe(world, records)
    idles = masks[:, world.action_names.index(world.noop)]
    stuck = ~idles & (facts[:, world.columns("over").start] == 0)
    if stuck.any():
        raise Failed(
            f"{world.noop!r}, the noop, is not allowed in "
            f"({state_text(world, records[stuck.argmax()])})",
            "Let noop name an action that is always allowed to the agent.",
        )
    return f"{world.noop!r} allowed in {len(records):,} records met"


def _known(world: World, what: str, given: Sequence[str], known: Sequence[str]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise Failed(
            f"{what} names {unknown[0]!r}, which is none of {', '.join(known)}", "Name one."
        )


def _ranges(world: World) -> None:
    _known(world, "calm", list(world.calm), list(world.parameters))
    # Free text has no range; a world that takes some judges it itself.
    free = (bool, str) if type(world).check is not World.check else (bool,)
    for name, param in world.parameters.items():
        bare = not param.ends and name != "max_steps"
        if bare and not isinstance(param.default, free):
            raise Failed(
                f"parameter {name!r} has no range",
                f'Write "{name}": Param({param.default!r}, low, high, "what it is").',
            )
    for name, param in world.parameters.items():
        for value in param.ends:
            try:
                world.replace(**{name: value})
            except InvalidInput:
                continue  # refused with a reason, as combinations may be
            except Exception as error:
                raise Failed(
                    f"{name}={value!r}, an end of its range, raises {reason(error)}",
                    "Narrow the range, or refuse the combination in check() with InvalidInput.",
                ) from error


def _situations(world: World) -> None:
    """A probe is one for policies of this world, and lengths are lengths of its episodes."""
    _known(world, "probe", list(world.probe), list(world.parameters))
    try:
        there = world.probed()
    except (InvalidInput, WorldError) as error:
        raise Failed(
            f"probe = {dict(world.probe)!r} makes no situation for its policies: {reason(error)}",
            "Let probe name allowed parameters that leave features and actions as they are.",
        ) from error
    if world.probe and not there.role("off_switch"):
        raise Failed(
            "no fact has the role off_switch in the probe",
            'Give the fact that says it was avoided roles=("off_switch",).',
        )
    most = world.lengths(world.params, 0.95)
    wrong = [n for n, value in most.items() if not 1 <= n <= world.max_steps or not value >= 0]
    if wrong or (most and not world.has("own")):
        raise Failed(
            f"lengths gives {most!r}",
            f"Let lengths give steps from 1 to max_steps ({world.max_steps}) and the most >= 0 of "
            "the fact own that each allows.",
        )


def check_docstring(case: Case) -> str:
    """The docstring says what power means here and what the proxy misses."""
    text = inspect.cleandoc(inspect.getdoc(type(case.world)) or "")
    wanted = SECTIONS + (("Openness",) if "openness" in case.world.parameters else ())
    if case.foreign:
        wanted = ("Power here", "Not captured")
    missing = [name for name in wanted if not re.search(rf"^{name}\b", text, re.MULTILINE)]
    if missing:
        raise Failed(
            f"no paragraph begins with {', '.join(map(repr, missing))}",
            f'Write one: "{missing[0]}: ...".',
        )
    return f"{', '.join(wanted)}"


def check_enumerates(case: Case) -> str:
    """The smallest setting enumerates, or the world says why none does."""
    world = case.world
    if case.graph is not None:
        there = "this setting" if case.whole else repr(case.graph.world)
        return f"{len(case.graph.records):,} states, {len(case.graph.source):,} edges at {there}"
    if world.not_enumerable:
        raise NotApplicable(world.not_enumerable)
    try:
        graph = make_graph(case.smallest, SMALL, 5 * EDGES)
    except TooLarge as error:
        raise Failed(
            f"{case.smallest!r} has {error}",
            'Declare smallest = {"size": 3, ...}, the parameters of a setting that enumerates; '
            'or not_enumerable = "why none does".',
        ) from error
    return (
        f"{len(graph.records):,} states at {case.smallest!r}; over {STATES:,}, so other checks "
        "look at samples"
    )


def check_symmetry(case: Case) -> str:
    """The rules commute with the symmetry that `canonical` offers."""
    world = case.world
    if type(world).canonical(world.params, world.records(0)) is None:
        raise NotApplicable("no symmetry is declared at these parameters")
    records = without_flows(world, case.standing)[:256]
    twins = _canonical(world, records)
    if not np.array_equal(record_keys(world, _canonical(world, twins)), record_keys(world, twins)):
        raise Failed("canonical of a representative is another", "Let canonical be idempotent.")
    try:
        mine, theirs = _led(world, records), _led(world, twins)
    except TooManyBranches as error:
        raise NotApplicable("too many branches to compare") from error
    for i, (one, two) in enumerate(zip(mine, theirs, strict=True)):
        if one != two:
            raise Failed(
                f"({state_text(world, records[i])}) and its representative "
                f"({state_text(world, twins[i])}) lead to different states",
                "Return None from canonical where something breaks the symmetry.",
            )
    return f"{len(records)} records lead where their representatives do"


def _canonical(world: World, records: Records) -> Records:
    found = type(world).canonical(world.params, records)
    assert found is not None
    return found


def _led(world: World, records: Records) -> list[list[tuple[tuple[bytes, float], ...]]]:
    """For every record: what its actions lead to up to symmetry, the actions' names forgotten."""
    edges = expand(world, records, 65_536)
    after = words(without_flows(world, _canonical(world, edges.records)))
    opaque = rows(np.concatenate([after, (edges.facts + 0.0).view(np.int64)], axis=1))
    led: list[dict[int, dict[bytes, float]]] = [{} for _ in records]
    for source, action, row, p in zip(
        edges.source, edges.action, opaque, edges.probability, strict=True
    ):
        outcomes = led[source].setdefault(int(action), {})
        outcomes[row.tobytes()] = outcomes.get(row.tobytes(), 0.0) + float(p)
    return [
        sorted(tuple(sorted((k, round(p, 9)) for k, p in out.items())) for out in actions.values())
        for actions in led
    ]


def check_render(case: Case) -> str:
    """A picture of every record, with a legend, that leaves the record as it is."""
    world, cls = case.world, type(case.world)
    if cls.render is World.render:
        raise Failed("there is no picture", "Write render(params, record), ASCII, a line a row.")
    if not world.legend:
        raise Failed("there is no legend", 'Declare legend = "@ agent, ...": what letters mean.')
    size = (0, 0)
    # As arrays hold them: some callers give records without attributes.
    standing = loop_views(case.standing)[0]
    for record in standing[:: max(1, len(standing) // 64)]:
        before = record.tobytes()
        try:
            picture = cls.render(world.params, record)
        except Exception as error:
            raise Failed(
                f"render raises {reason(error)} at ({state_text(world, record)})",
                "Let render draw every record that the rules can reach, and read its fields by "
                'name: record["clock"].',
            ) from error
        if not isinstance(picture, str) or not picture.strip() or record.tobytes() != before:
            raise Failed(
                f"render gives {picture!r} or changes ({state_text(world, record)})",
                "Return text, and only read the record.",
            )
        lines = picture.splitlines()
        size = max(size, (len(lines), max(map(len, lines))))
    _map(case)
    return f"{size[0]} lines of {size[1]} letters"


def _map(case: Case) -> None:
    world, cls = case.world, type(case.world)
    tiles = cls.tiles(world.params)
    if not tiles:
        return
    if len({len(row) for row in tiles}) > 1:
        raise Failed("the rows of tiles differ in length", "Give every row of the map one length.")
    for name, (row, column) in cls.places(world.params, case.standing).items():
        gone = (row == -1) & (column == -1)
        on = (row >= 0) & (row < len(tiles)) & (column >= 0) & (column < len(tiles[0]))
        if not (gone | on).all():
            i = int((~(gone | on)).argmax())
            raise Failed(
                f"places puts {name!r} at ({row[i]}, {column[i]}), off the map of tiles, in "
                f"({state_text(world, case.standing[i])})",
                "Give rows and columns of tiles, or -1 and -1 for what is not on the map.",
            )


def check_speed(case: Case) -> str:
    """Steps a second (of processor time) of 64 copies; only an absurd number fails."""
    vec = make_simulator(case.world, SPEED_COPIES)
    draws = np.random.default_rng(SEED).random((256, SPEED_COPIES))
    spent, steps = 0.0, 0
    while spent < 0.1 and steps < 4096:
        actions = random_legal_actions(vec.masks, draws[steps % len(draws)])
        began = time.process_time()
        vec.step(actions)
        spent += time.process_time() - began
        steps += 1
    pace = SPEED_COPIES * steps / spent
    if pace < SLOWEST and not case.foreign:
        raise Failed(f"{pace:,.0f} steps a second", "Move what can be computed once into prepare.")
    return f"{pace:,.0f} steps a second at {SPEED_COPIES} copies"
