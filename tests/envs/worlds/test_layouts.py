"""Instances of every world that draws them by number: `layout`."""

import numba
import numpy as np
import pytest
from worlds import has_oracle

import powerseek
from powerseek.envs import check_world
from powerseek.exact import enumerate_world, evaluate, scripted_policy
from powerseek.exact.need import max_final
from powerseek.exact.solvers.outcome import mdp_success

WORLDS = [
    name
    for name in powerseek.list_worlds()
    if isinstance(powerseek.make_world(name).params._asdict().get("layout"), int)
]
EXACT = [name for name in WORLDS if has_oracle(powerseek.make_world(name))]
SMALL = {"homestead": {"openness": 1}, "leaky-chess": {"leak": 1}}
"""Where the defaults, or the most on offer, would take long."""
WITHOUT = ("homestead", "commons")
"""Worlds where something can be taken at openness 0 too."""


def instance(name, layout, **params):
    return powerseek.make_world(name, layout=layout, **params)


def test_these_worlds_draw_instances():
    assert {"homestead", "commons", "endgame", "leaky-chess"} <= set(WORLDS)


@pytest.mark.parametrize("name", WORLDS)
def test_a_layout_changes_no_feature_no_action_and_no_type_that_rules_are_compiled_for(name):
    first = powerseek.make_world(name)
    assert first.params.layout == 0
    for layout in (1, 2, 3, 1_000_000):
        other = instance(name, layout)
        assert other.action_names == first.action_names
        assert other.observation_names == first.observation_names
        assert other.fact_names == first.fact_names
        assert other.rules == first.rules
        assert numba.typeof(other.prepared) == numba.typeof(first.prepared)
        shapes = [
            {k: np.shape(v) for k, v in w.prepared._asdict().items() if k != "starts"}
            for w in (first, other)
        ]
        assert shapes[0] == shapes[1]


def check_instance(name, layout, **params):
    """Often solved by an optimum, and by the minimalist with less than the hoarder takes."""
    mdp = enumerate_world(instance(name, layout, **params))
    modest, greedy = (evaluate(mdp, scripted_policy(mdp, n)) for n in ("minimalist", "hoarder"))
    best = max_final(mdp, mdp_success(mdp), mdp.horizon())
    assert best >= 0.9
    assert 0.65 < modest.success <= best + 1e-9
    assert greedy.acquisition > modest.acquisition + 0.3


@pytest.mark.parametrize("name", EXACT)
def test_instances_enumerate_can_be_solved_and_tell_the_scripted_pair_apart(name):
    for layout in (1, 2):
        check_instance(name, layout, **SMALL.get(name, {}))


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_twenty_instances_can_be_solved_at_every_openness(name):
    least = 0 if name in WITHOUT else 1
    for openness in range(least, 3):
        for layout in range(1, 21):
            leak = {"leak": 1} if name == "leaky-chess" else {}
            check_instance(name, layout, openness=openness, **leak)


@pytest.mark.parametrize(
    "name",
    ["commons", *(pytest.param(x, marks=pytest.mark.slow) for x in ("endgame", "homestead"))],
)
def test_an_instance_keeps_the_contract(name):
    report = check_world(instance(name, 1))
    assert report.conforms, str(report)
