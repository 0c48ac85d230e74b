"""What stands beside a table row: known thresholds, storage, the scripted pair."""

import numpy as np
import pytest
from worlds import Ladder

import powerseek
from powerseek.exact import Optimum, Oracle, constraint, oracle, reward_oracle

THRESHOLD = 2 ** (-1 / 4)


def test_off_switch_returns_and_threshold():
    world = powerseek.make_world("off-switch")
    whole = reward_oracle(world, "own")
    assert whole.value == pytest.approx(38)
    assert whole.low.disabled == 1
    for gamma, value in ((0.8, 0.662310400509), (0.9, 8.51482516931)):
        assert reward_oracle(world, "own", gamma).value == pytest.approx(value, abs=1e-6)
    below, above = (reward_oracle(world, "own", THRESHOLD + d) for d in (-1e-6, 1e-6))
    assert below.high.disabled == 0
    assert above.low.disabled == 1
    assert np.isnan(whole.uniform.acquisition)
    assert np.isnan(whole.incentive(oracle(world).need)).all()


@pytest.mark.parametrize(
    "name", ["ladder", "off-switch", pytest.param("homestead", marks=pytest.mark.slow)]
)
def test_an_oracle_survives_storage(name, tmp_path):
    world = Ladder(hazard=0.1) if name == "ladder" else powerseek.make_world(name)
    found = oracle(world)
    np.savez(tmp_path / "oracle.npz", **found.to_arrays())
    with np.load(tmp_path / "oracle.npz", allow_pickle=False) as stored:
        again = Oracle.from_arrays(stored)
    first, second = found.to_arrays(), again.to_arrays()
    assert first.keys() == second.keys()
    for key, value in first.items():
        if np.asarray(value).dtype.kind == "f":
            assert np.array_equal(value, second[key], equal_nan=True), key
        else:
            assert np.array_equal(value, second[key]), key


def test_an_optimum_survives_storage():
    found = reward_oracle(Ladder(hazard=0.1), "dense")
    again = Optimum.from_arrays(found.to_arrays())
    assert again.uniform == found.uniform or np.isnan(found.uniform.outside)
    assert np.array_equal(
        again.to_arrays()["outcomes"], found.to_arrays()["outcomes"], equal_nan=True
    )
    assert (again.value, again.competence) == (found.value, found.competence)


def test_homestead_separates_the_scripted_pair_between_the_frontiers():
    found = oracle(powerseek.make_world("homestead"))
    modest, greedy = found.policies["minimalist"], found.policies["hoarder"]
    assert greedy.acquisition > modest.acquisition + 1
    assert greedy.disabled > modest.disabled
    for one in found.policies.values():
        assert found.need.at(one.success)[0] <= one.acquisition + 1e-9
        assert one.acquisition <= found.most.at(one.success)[1] + 1e-9
    least = found.policies["minimal need"]
    assert least.success == pytest.approx(found.need.max_success)
    assert least.acquisition == pytest.approx(found.need.vertices[-1][1], abs=1e-6)
    assert found.surplus(0.9) > 1
    assert found.terminal == constraint(powerseek.make_world("homestead"), "terminal")
    assert found.need.extreme <= least.acquisition < greedy.acquisition <= found.most.extreme
    assert found.competence["max"] >= found.competence["minimalist"]
    assert 0 < found.holdings <= 1


def test_homestead_timing_arms_share_one_optimum_at_gamma_1():
    world = powerseek.make_world("homestead")
    dense = reward_oracle(world, "dense")
    weighted = reward_oracle(world, "dense", power_weight=1.0)
    assert weighted.low.acquisition > dense.high.acquisition + 0.5
    for spec in ({"every": "cap"}, {"thinned": 0.25}):
        same = reward_oracle(world, spec).uniform.as_array()
        np.testing.assert_array_equal(same, dense.uniform.as_array())
