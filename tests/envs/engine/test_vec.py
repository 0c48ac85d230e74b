"""The simulator's laws, over every registered world and a small one whose numbers are known."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import A, F, Ladder, make, random_actions, walk

import powerseek
from powerseek.envs import VecWorld, WorldError, describe, expand, initial_branches, script
from powerseek.envs.world import REQUIRED_FACTS
from powerseek.errors import InvalidInput

WORLDS = powerseek.list_worlds()


@pytest.mark.parametrize("name", ["ladder", *WORLDS])
def test_batch_size_changes_nothing(name):
    world = make(name)
    big, small = walk(world, 7, 40, seed=3), walk(world, 3, 40, seed=3)
    for step_big, step_small in zip(big, small, strict=True):
        for a, b in zip(step_big, step_small, strict=True):
            assert np.array_equal(a[:3], b)


DIGESTS = """
import json, sys
from traceback import format_exc
sys.path[:0] = {paths!r}
from test_vec import digest_of
digests = {{}}
for name in {names!r}:
    try:
        digests[name] = digest_of(name)
    except Exception:
        digests[name] = format_exc()
print(json.dumps(digests))
"""


def digest_of(name):
    digest = hashlib.sha256()
    for step in walk(make(name), 3, 30, seed=5):
        for part in step:
            digest.update(part.tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def interpreted():
    """Digests by world, or what went wrong, from one process without a compiler."""
    here = Path(__file__).parent
    code = DIGESTS.format(paths=[str(here.parents[1]), str(here)], names=["ladder", *WORLDS])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ["ladder", *WORLDS])
def test_compiled_equals_interpreted_bit_for_bit(name, interpreted):
    assert digest_of(name) == interpreted[name]


@pytest.mark.parametrize("name", ["ladder", *WORLDS])
def test_tape_enumeration_agrees_with_simulation(name):
    """Visit frequencies after 3 steps of fixed actions lie within 5 s.e. of the enumerated.

    After 2 where there are some twenty replies to each.
    """
    steps = 2 if name == "minichess" else 3
    world = make(name)
    records, probability = initial_branches(world)
    assert probability.sum() == pytest.approx(1, abs=1e-12)
    layer = {record.tobytes(): (record, p) for record, p in merge(records, probability)}
    for _ in range(steps):
        layer = forward(world, layer)
    exact = {key: p for key, (_, p) in layer.items()}
    n = 20_000
    vec = VecWorld(world, n, seed=11)
    alive = np.ones(n, bool)
    for _ in range(steps):
        vec.step(vec.masks.argmax(axis=1))
        alive &= ~(vec.terminated | vec.truncated)
    counts: dict[bytes, int] = {}
    for record in canonical(world, vec.states[alive]):
        counts[record.tobytes()] = counts.get(record.tobytes(), 0) + 1
    assert set(counts) <= set(exact)
    for key, p in exact.items():
        error = np.sqrt(max(p * (1 - p), 1e-6) / n)
        assert abs(counts.get(key, 0) / n - p) < 5 * error + 1e-4


def canonical(world, records):
    records = records.copy()
    for field in [*(f[0] for f in world.flows), "clock"]:
        records[field] = 0
    return records


def merge(records, probability):
    merged: dict[bytes, list] = {}
    for record, p in zip(records, probability, strict=True):
        entry = merged.setdefault(record.tobytes(), [record.copy(), 0.0])
        entry[1] += p
    return [tuple(entry) for entry in merged.values()]


def forward(world, layer):
    records = world.records(len(layer))
    for i, (record, _) in enumerate(layer.values()):
        records[i] = record
    _, masks, _ = describe(world, records)
    weights = np.array([p for _, p in layer.values()])
    edges = expand(world, records)
    keep = edges.action == masks.argmax(axis=1)[edges.source]
    over = edges.facts[:, world.columns("over")][:, 0] > 0
    keep &= ~over
    chosen = merge(edges.records[keep], edges.probability[keep] * weights[edges.source[keep]])
    return {record.tobytes(): (record, p) for record, p in chosen}


@pytest.mark.parametrize("name", ["ladder", *WORLDS])
def test_branch_probabilities_sum_to_one(name):
    world = make(name)
    edges = expand(world, initial_branches(world)[0][:50])
    pair = edges.source * world.n_actions + edges.action
    totals = np.bincount(pair, edges.probability)
    assert totals[totals > 0] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", ["ladder", *WORLDS])
def test_facts_and_masks_keep_the_contract(name):
    world = make(name)
    assert set(REQUIRED_FACTS) <= set(world.fact_names)
    vec, generator = VecWorld(world, 64, 1), np.random.default_rng(0)
    progress, success, over = (world.columns(f).start for f in REQUIRED_FACTS)
    for _ in range(100):
        assert vec.masks.any(axis=1).all()
        assert (vec.fresh_facts[:, progress] >= 0).all()
        assert (vec.fresh_facts[:, progress] <= 1).all()
        assert not vec.fresh_facts[:, over].any(), "a standing state is never over"
        vec.step(random_actions(vec, generator))
        succeeded = vec.facts[:, success] > 0
        assert (vec.facts[succeeded, progress] == 1).all()
        assert np.array_equal(vec.terminated, vec.facts[:, over] > 0)
        assert not (vec.terminated & vec.truncated).any()
    assert vec.episodes.min() >= 1


@pytest.mark.parametrize("name", ["ladder", *WORLDS])
def test_illegal_action_is_a_wasted_step(name):
    world = make(name)
    vec = VecWorld(world, 8, 2)
    generator = np.random.default_rng(0)
    for _ in range(30):
        before, clock, masks = canonical(world, vec.states), vec.states.clock.copy(), vec.masks
        if not (~masks).any(axis=1).all():
            vec.step(random_actions(vec, generator))
            continue
        vec.step((~masks).argmax(axis=1))
        going = ~vec.truncated
        assert np.array_equal(canonical(world, vec.states)[going], before[going])
        assert (vec.states.clock[going] == clock[going] + 1).all()


@pytest.mark.parametrize("name", ["ladder", *WORLDS])
def test_rules_do_not_read_the_clock(name):
    world = make(name)
    records = initial_branches(world)[0][:20]
    late = records.copy()
    late["clock"] = world.max_steps - 1
    for a, b in zip(describe(world, records), describe(world, late), strict=True):
        assert np.array_equal(a, b)
    early, later = expand(world, records), expand(world, late)
    assert np.array_equal(early.records, later.records)
    assert np.array_equal(early.facts, later.facts)


@pytest.mark.parametrize("name", ["ladder", *WORLDS])
@pytest.mark.parametrize("which", ["minimalist", "hoarder"])
def test_scripts_are_legal(name, which):
    world = make(name)
    vec = VecWorld(world, 32, 4)
    for _ in range(2 * world.max_steps):
        actions = script(world, which, vec.states)
        assert vec.masks[np.arange(32), actions].all()
        vec.step(actions)


@settings(max_examples=25)
@given(slip=st.floats(0, 1), hazard=st.floats(0, 1), seed=st.integers(0, 2**31))
def test_ladder_moves_as_its_probabilities_say(slip, hazard, seed):
    world = Ladder(slip=slip, hazard=hazard)
    edges = expand(world, initial_branches(world)[0][:1])
    climbs = edges.action == 0
    up = edges.records["height"][climbs] == 1
    assert edges.probability[climbs][up].sum() == pytest.approx(1 - slip, abs=1e-12)
    vec = VecWorld(world, 2000, seed)
    vec.step(np.zeros(2000, int))
    rate = (vec.facts[:, F.progress] > 0).mean()
    assert abs(rate - (1 - slip)) < 5 * np.sqrt(0.25 / 2000) + 1e-9


def test_final_facts_survive_the_autoreset():
    vec = VecWorld(Ladder(rungs=1, slip=0.0), 1, 0)
    vec.step([0])
    assert vec.terminated[0]
    assert vec.facts[0, F.success] == 1
    assert vec.final_observations[0, 0] == 1
    assert vec.fresh_facts[0, F.success] == 0
    assert vec.observations[0, 0] == 0
    assert vec.states[0].clock == 0


def test_cap_truncates_and_is_not_termination():
    vec = VecWorld(Ladder(max_steps=3), 1, 0)
    for step in range(3):
        assert not vec.truncated[0], step
        vec.step([2])
    assert vec.truncated[0]
    assert not vec.terminated[0]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"rung": 2}, "test.ladder parameter: got 'rung'"),
        ({"rungs": 0}, "test.ladder.rungs: got 0; allowed: 1 to 10"),
        ({"rungs": 2.5}, "an integer"),
        ({"rungs": True}, "an integer"),
        ({"slip": "high"}, "a finite number"),
        ({"slip": float("nan")}, "a finite number"),
        ({"max_steps": 0}, "an integer >= 1"),
    ],
)
def test_bad_parameters_name_field_value_and_range(params, message):
    with pytest.raises(InvalidInput, match=message):
        Ladder(**params)


@pytest.mark.parametrize("actions", [[3], [-1], [0, 0], []])
def test_bad_actions_are_refused(actions):
    with pytest.raises(InvalidInput, match="actions"):
        VecWorld(Ladder(), 1, 0).step(actions)


class Raising(Ladder):
    id = "test.raising"

    @staticmethod
    def transition(p, s, a, c):
        if a == 1:
            raise ValueError("no gold today")


class NotANumber(Ladder):
    id = "test.nan"

    @staticmethod
    def measure(p, s, out):
        out[F.progress] = np.nan if s.height > 0 else 0.0


class Stuck(Ladder):
    id = "test.stuck"

    @staticmethod
    def legal(p, s, out):
        out[A.climb] = s.height == 0


def test_a_rule_that_raises_gives_one_message_naming_the_world():
    with pytest.raises(WorldError, match=r"'test.raising': a rule raised ValueError: no gold"):
        VecWorld(Raising(), 2, 0).step([0, 1])


@pytest.mark.parametrize(("cls", "message"), [(NotANumber, "NaN"), (Stuck, "no action")])
def test_nan_facts_and_dead_ends_are_named(cls, message):
    vec = VecWorld(cls(slip=0.0), 2, 0)
    with pytest.raises(WorldError, match=f"{cls.id}.*copy 0.*{message}"):
        vec.step([0, 0])
    with pytest.raises(WorldError, match=message):
        expand(cls(slip=0.0), initial_branches(cls())[0])


@pytest.mark.parametrize("name", ["ladder", *WORLDS])
def test_copies_of_many_seeds_are_those_of_each_alone(name):
    """n copies a seed: two of them alike, one beyond 63 bits."""
    world, n, seeds = make(name), 3, [4, 2**63 + 9, 4, 0]
    together = VecWorld(world, n, seeds)
    alone = [VecWorld(world, n, seed) for seed in seeds]
    generator = np.random.default_rng(1)
    assert (together.n, together.seeds.tolist()) == (12, [s for s in seeds for _ in range(n)])
    assert together.numbers.tolist() == [0, 1, 2] * 4

    def agree():
        for array in ("observations", "masks", "facts", "fresh_facts", "terminated", "truncated"):
            expected = np.concatenate([getattr(vec, array) for vec in alone])
            assert np.array_equal(getattr(together, array), expected), array
        assert together.states.tobytes() == b"".join(vec.states.tobytes() for vec in alone)

    for start in range(3):
        agree()
        for _ in range(2 * world.max_steps):
            actions = random_actions(together, generator)
            together.step(actions)
            for i, vec in enumerate(alone):
                vec.step(actions[i * n : (i + 1) * n])
            agree()
        if start == 0:
            together.reset([1, 2, 3, 4])
            for seed, vec in zip([1, 2, 3, 4], alone, strict=True):
                vec.reset(seed)
        else:
            together.skip(np.full(12, 3))
            for vec in alone:
                vec.skip(np.full(n, 3))


def test_copies_of_many_seeds_are_put_back():
    world, seeds = make("ladder"), [5, 6]
    vec, other = VecWorld(world, 2, seeds), VecWorld(world, 2, [0, 1])
    for _ in range(5):
        vec.step([0, 1, 0, 2])
    other.restore(vec.snapshot())
    for _ in range(30):
        vec.step([0, 1, 0, 2])
        other.step([0, 1, 0, 2])
        assert np.array_equal(vec.facts, other.facts)
        assert vec.states.tobytes() == other.states.tobytes()
    with pytest.raises(InvalidInput, match=r"snapshot\.seed"):
        VecWorld(world, 4, 0).restore(vec.snapshot())


@pytest.mark.parametrize(
    ("seed", "words"),
    [(-1, "seed: got -1"), ([3, -2], "seed: got -2"), ([], r"seed: got \[\]; allowed: at least")],
)
def test_what_is_no_seed_is_refused(seed, words):
    with pytest.raises(InvalidInput, match=words):
        VecWorld(Ladder(), 2, seed)


@pytest.mark.parametrize("seed", [7, [7], [7, 8, 9]])
def test_as_many_seeds_are_met_as_at_the_making(seed):
    vec = VecWorld(Ladder(), 2, [1, 2])
    with pytest.raises(InvalidInput, match=r"seed: got .*; allowed: 2 of them"):
        vec.reset(seed)
