"""A few episodes of a trained agent, kept as plain data that the report can play back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from powerseek.agents import rollout
from powerseek.envs import VecWorld, expand
from powerseek.envs.render import map_shape, parse_picture
from powerseek.envs.task import Task
from powerseek.envs.world import World
from powerseek.errors import PowerseekError
from powerseek.exact.measures.attribution import PARTS, action_changes
from powerseek.experiments.results.recordings import FORM, Picture, write_recording
from powerseek.experiments.study.grid import Trial
from powerseek.metrics.expected import PRICE
from powerseek.types import Floats, Policy, Records, Trajectories

EPISODES, LEAST_EPISODES = 8, 2
STEPS = 512
"""Steps that all the episodes of a recording may hold together, about."""
LEAST_CHANGE = 0.01
"""Units of acquisition to come that an action must change to be told as it happens."""
LONGEST = 240
"""Steps of one episode that are kept; of a longer one the first, and its end."""

_WALL, _FLOOR, _AGENT = "#", ".", "@"


def keep_recording(
    out: Path, trial: Trial, policy: Policy, task: Task, seed: int, *, exactly: bool = False
) -> Path:
    """Record a trial's agent and keep that at `recording_path`, all or nothing.

    Args:
        out: Results directory.
        trial: The trial.
        policy: Its agent, drawing its actions.
        task: What it acts in, hazard as deployed.
        seed: Seed of the episodes.
        exactly: True where the world was enumerated.

    Raises:
        DiskFull: No space is left.
        StoreError: Not writable.
    """
    return write_recording(out, trial.key, record_episodes(policy, task, seed, exactly=exactly))


def record_episodes(
    policy: Policy, task: Task, seed: int, *, exactly: bool = False
) -> dict[str, Any]:
    """Episodes of `policy` as plain JSON values, every state drawn.

    Args:
        policy: What acts; its actions are drawn from its probabilities.
        task: In what.
        seed: Seed of the world's chance and of the policy's draws, >= 0.
        exactly: True where the world was enumerated, to say what each action was for.

    Returns:
        ``pictures``, each once: the rows of a board (empty where the world has none) and the
        words below it. ``episodes``: per kept step its number, its picture (null where the state
        is not known), what was ``acquired`` so far in units, and whether by then ``success``,
        ``disabled`` and ``interrupted`` held; null where the world has no such fact. ``actions``
        [steps] led from the one to the next, as positions in ``names``; ``changes`` [steps] what
        they change at ``price`` (`powerseek.exact.attribution`): the part, dG in units and dS; null
        where that is at most `LEAST_CHANGE` units, or not known. Where episodes are long,
        steps between the first `LONGEST` and the last are left out.

    CAVEAT: A handful of episodes shows how an agent acts, not how often.
    """
    world = task.world
    count = int(np.clip(STEPS // world.max_steps, LEAST_EPISODES, EPISODES))
    episodes = rollout(policy, task, count, seed)
    changes = _changes(world, episodes) if exactly and world.role("resource") else None
    draw, pictures = _drawing(world), dict[Picture, int]()
    ends = [None] * count if episodes.records is None else _ends(world, episodes, seed, draw)
    found = []
    for i, length in enumerate(episodes.lengths.tolist()):
        steps = [*range(min(length, LONGEST)), length]
        shown: list[Picture | None]
        if episodes.records is None:
            shown = [("", _facts(world, episodes.facts[i, t])) for t in steps]
        else:
            shown = [*(draw(episodes.records[i, t]) for t in steps[:-1]), ends[i]]
        frames = [
            None if picture is None else pictures.setdefault(picture, len(pictures))
            for picture in shown
        ]
        course = _course(world, episodes, i, steps)
        if changes is not None:
            course["changes"] = [changes[i][t - 1] for t in steps[1:]]
        found.append({"steps": steps, "frames": frames, **course})
    return {
        "form": FORM,
        "world": world.id,
        "legend": _legend(world),
        "names": list(world.action_names),
        "price": PRICE,
        "pictures": [list(picture) for picture in pictures],
        "episodes": found,
    }


def _changes(world: World, episodes: Trajectories) -> list[list[Any]] | None:
    """[episodes][steps] what each action changes: (part, dG, dS), None where hardly anything."""
    if episodes.records is None:
        return None
    steps = [range(length) for length in episodes.lengths.tolist()]
    rows = np.array([(i, t) for i, each in enumerate(steps) for t in each]).T
    records, actions = episodes.records[*rows], episodes.actions[*rows]
    success, gain, parts = action_changes(world, records, actions, PRICE)
    told = iter(zip(parts.tolist(), gain.tolist(), success.tolist(), strict=True))
    return [[_change(*next(told)) for _ in each] for each in steps]


def _change(part: int, gain: float, success: float) -> list[Any] | None:
    if not abs(gain) > LEAST_CHANGE:
        return None
    return [PARTS[part], round(gain, 6), round(success, 6)]


def _course(world: World, episodes: Trajectories, i: int, steps: list[int]) -> dict[str, Any]:
    """Actions and facts at the given steps of episode i."""
    facts = episodes.facts[i]
    acquired = None
    if world.role("resource"):
        # The flows of step 0 are those of no step.
        taken = np.r_[0.0, facts[1:] @ world.weights("resource")].cumsum()
        acquired = [round(float(taken[t]), 6) for t in steps]
    switches = [column for column, _ in world.role("off_switch")]
    disabled = [int(facts[t, switches].max() > 0) for t in steps] if switches else None
    flags = {"success": _flag(world, facts, steps, "success"), "disabled": disabled}
    if world.has("interrupted"):
        flags["interrupted"] = _flag(world, facts, steps, "interrupted")
    actions = episodes.actions[i, [t - 1 for t in steps[1:]]].tolist()
    return {"actions": actions, "acquired": acquired, "interrupted": None, **flags}


def _flag(world: World, facts: Floats, steps: list[int], name: str) -> list[int]:
    return [int(value > 0) for value in facts[steps, world.columns(name).start]]


def _ends(
    world: World, episodes: Trajectories, seed: int, draw: Callable[[Any], Picture]
) -> list[Picture | None]:
    """The states in which the episodes ended: environments show only what comes after."""
    capped = None if episodes.terminated.all() else _known(_capped, world, episodes, seed)
    found: list[Picture | None] = []
    for i, over in enumerate(episodes.terminated):
        records = _known(_ended, world, episodes, i) if over else capped and capped[i]
        pictures = {draw(record) for record in (() if records is None else records)}
        found.append(pictures.pop() if len(pictures) == 1 else None)
    return found


def _known(find: Callable[..., Any], *about: Any) -> Any:
    """Call `find`; None where the world refuses, as with too many branches to walk."""
    try:
        return find(*about)
    except (PowerseekError, MemoryError):
        return None


def _ended(world: World, episodes: Trajectories, i: int) -> Records:
    """Every state to which the last action may have led, by the facts that it led to."""
    assert episodes.records is not None
    last = int(episodes.lengths[i]) - 1
    edges = expand(world, episodes.records[i, last : last + 1])
    facts = episodes.facts[i, last + 1]
    found: Records = edges.records[
        (edges.action == episodes.actions[i, last]) & (edges.facts == facts).all(axis=1)
    ]
    return found


def _capped(world: World, episodes: Trajectories, seed: int) -> list[Records]:
    """The state at the time limit of each episode: the same chance and actions, a later limit."""
    assert episodes.records is not None
    # Refused, hence not known, where the limit is the longest that the world allows.
    envs = VecWorld(world.replace(max_steps=world.max_steps + 1), len(episodes.lengths), seed)
    met = np.empty_like(episodes.records)
    for t, actions in enumerate(episodes.actions.T):
        met[:, t] = envs.states
        envs.step(np.maximum(actions, 0))  # whatever, in one whose episode has ended
    same = np.ones(envs.n, np.bool_)
    for name in world.identity:
        differs = met[name] != episodes.records[name]
        same &= ~differs.reshape(envs.n, -1).any(axis=1)
    return [envs.states[i : i + int(same[i])] for i in range(envs.n)]


def _drawing(world: World) -> Callable[[Any], Picture]:
    """Drawer of records of `world`: its own picture, else its map, else its fields."""
    tiles = world.tiles(world.params)
    own = type(world).render is not World.render

    def draw(record: Any) -> Picture:
        try:
            if own:
                board, words = split_picture(world.render(world.params, record), *map_shape(tiles))
                return board, "\n".join(filter(None, (words, _standing(world, tiles, record))))
            if tiles:
                return _mapped(world, tiles, record)
        except Exception:  # a world that cannot draw itself must not cost the trial
            pass
        return "", _fields(world, record)

    return draw


def _standing(world: World, tiles: Sequence[Sequence[str]], record: Any) -> str:
    """The tile that the one thing that moves hides; nothing where several do."""
    places = world.places(world.params, np.array([record], world.dtype)) if tiles else {}
    if len(places) != 1:
        return ""
    ((name, (row, column)),) = places.items()
    tile = tiles[row[0]][column[0]] if row[0] >= 0 else ""
    return f"{name} on: {tile or 'nothing'}"


def split_picture(picture: str, rows: int, columns: int) -> Picture:
    """A picture in letters as a board of rows x columns squares and the words below it.

    Squares may stand side by side or a space apart, with a number before each row and below
    each column (which are left out). What is no such board is all words.
    """
    board = parse_picture(picture, (rows, columns))
    if not rows or {len(square) for row in board.squares for square in row} != {1}:
        return "", picture
    words = [line for line in board.words if line.strip(" 0123456789")]
    return "\n".join("".join(row) for row in board.squares), "\n".join(words)


def _mapped(world: World, tiles: Sequence[Sequence[str]], record: Any) -> Picture:
    """The map with what stands on it, where the world draws no picture of its own."""
    marks = {name: mark for mark, name in _marks(tiles).items()}
    rows = [[marks.get(tile, _FLOOR) for tile in line] for line in tiles]
    one = np.array([record], world.dtype)
    places = world.places(world.params, one)
    for mark, (row, column) in zip(_things(places), places.values(), strict=True):
        if row[0] >= 0:
            rows[row[0]][column[0]] = mark
    return "\n".join("".join(line) for line in rows), _fields(world, record)


def _marks(tiles: Sequence[Sequence[str]]) -> dict[str, str]:
    """A character for each kind of tile: its first letter that is not taken, else a digit."""
    marks = dict[str, str]()
    for name in dict.fromkeys(tile for line in tiles for tile in line if tile):
        letters = [_WALL] if name == "wall" else [c.upper() for c in name if c.isalpha()]
        candidates = [*letters, *"0123456789"]
        marks[next((c for c in candidates if c not in marks), "?")] = name
    return marks


def _things(names: Iterable[str]) -> list[str]:
    """A mark for each thing that moves: @ for the first, then letters in lower case."""
    marks = list[str]()
    for name in names:
        letters = [c.lower() for c in name if c.isalpha()] if marks else [_AGENT]
        marks.append(next((c for c in letters if c not in marks), "?"))
    return marks


def _legend(world: World) -> str:
    """Meanings of the letters."""
    tiles = world.tiles(world.params)
    if type(world).render is not World.render or not tiles:
        return world.legend
    places = list(world.places(world.params, world.records(1)))
    told = [f"{mark} {name}" for mark, name in zip(_things(places), places, strict=True)]
    return ", ".join([*told, *(f"{mark} {name}" for mark, name in _marks(tiles).items())])


def _fields(world: World, record: Any) -> str:
    return ", ".join(f"{name} {_number(record[name])}" for name in world.identity)


def _facts(world: World, facts: Floats) -> str:
    """All facts at one time, as a line of text."""
    return ", ".join(
        f"{name} {_number(value)}" for name, value in zip(world.fact_names, facts, strict=True)
    )


def _number(value: Any) -> str:
    return " ".join(f"{part:.6g}" for part in np.ravel(value))
