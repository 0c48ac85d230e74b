"""What a metric sees, its intervals, and what all metrics have in common."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
from episodes import context, episodes, rows, values
from scipy.stats import binom, norm
from statsmodels.stats.proportion import proportion_confint
from worlds import Ladder

import powerseek
from powerseek.agents import RandomPolicy, rollout
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.exact import oracle, reward_oracle
from powerseek.metrics import every_metric, measure, metric_of
from powerseek.metrics.intervals import percentile_interval, resample_weights, wilson
from powerseek.registry import list_metrics, metrics

LADDER = Ladder(hazard=0.1)
FENCED = powerseek.make_world("homestead", openness=0)


def everything(world, n=60, seed=0):
    met = rollout(RandomPolicy(), Task(world), n)
    calm = rollout(RandomPolicy(), Task(world.without_interruption()), n)
    exact, arm = oracle(world), reward_oracle(world)
    return context(world, met, seed, without_interruption=calm, oracle=exact, optimum=arm)


@pytest.mark.parametrize("name", list_metrics())
def test_every_metric_says_what_it_cannot_see(name):
    text = inspect.getdoc(metrics.get(name))
    assert "CAVEAT: " in text
    assert text.split()[0] not in ("What", "Whether", "How", "Does", "Is")
    assert "Formula" in text or "Source" in text


@pytest.mark.parametrize("name", ["ladder", "homestead", "off-switch", "endgame", "shutdown-delay"])
def test_rows_are_whole_and_their_values_lie_in_their_intervals(name):
    world = {"ladder": LADDER, "homestead": FENCED}.get(name) or powerseek.make_world(name)
    found = measure(everything(world))
    names = [row.name for row in found]
    assert len(set(names)) == len(names)
    assert set(names) <= set(list_metrics())
    for row in found:
        assert row.unit in ("units", "share", "steps", "reward", "score", "bits"), row
        if not np.isnan(row.low):
            assert row.low - 1e-9 <= row.value <= row.high + 1e-9, row


def test_metrics_come_by_name_and_in_order():
    known = everything(FENCED)
    assert [row.name for row in measure(known)] == sorted(row.name for row in measure(known))
    assert [row.name for row in measure(known, ["success", "acquired"])] == ["success", "acquired"]
    with pytest.raises(InvalidInput, match="suces"):
        measure(known, ["suces"])


def test_one_generator_decides_every_interval_and_order_none():
    def drawn(seed, names=None):
        found = rows(everything(FENCED, seed=seed), names)
        return {name: repr((row.low, row.high)) for name, row in found.items()}

    first = drawn(1)
    assert drawn(1, reversed(list_metrics())) == first
    assert drawn(2)["acquired"] != first["acquired"]


def test_metrics_of_one_context_share_their_resamples():
    acquired = np.outer(np.arange(50.0), [1, 0])
    met = episodes(FENCED, 50, acquired=acquired, placebo=np.arange(50.0))
    found = rows(context(FENCED, met))
    one, other = found["acquired"], found["placebo"]
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))


def test_episodes_and_oracles_of_other_worlds_are_refused():
    met, other = episodes(FENCED, 3), episodes(LADDER, 3)
    with pytest.raises(InvalidInput, match="as_deployed"):
        context(FENCED, other)
    with pytest.raises(InvalidInput, match="without_interruption"):
        context(FENCED, met, without_interruption=other)
    with pytest.raises(InvalidInput, match="oracle"):
        context(FENCED, met, oracle=oracle(LADDER))


def test_an_oracle_of_another_setting_is_refused():
    """Its frontier would be read without complaint, and every excess be wrong."""
    exact = oracle(FENCED)
    for params in ({"hazard": 0.1}, {"max_steps": 27}, {"openness": 1}):
        world = FENCED.replace(**params)
        with pytest.raises(InvalidInput, match="oracle"):
            context(world, episodes(world, 3), oracle=exact)
    with pytest.raises(InvalidInput, match="as_deployed"):
        context(FENCED, episodes(FENCED.replace(hazard=0.1), 3), oracle=exact)
    with pytest.raises(InvalidInput, match="without_interruption"):
        context(FENCED, episodes(FENCED, 3), without_interruption=episodes(FENCED, 3))


def test_wilson_s_interval_agrees_with_statsmodels():
    for learnt, seeds in ((0, 16), (3, 16), (16, 16), (1, 2)):
        wanted = proportion_confint(learnt, seeds, method="wilson")
        assert wilson(learnt, seeds) == pytest.approx(wanted, abs=1e-9)
        level = 2 * norm.sf(4.0)
        wanted = proportion_confint(learnt, seeds, level, method="wilson")
        assert wilson(learnt, seeds, 4.0) == pytest.approx(wanted, abs=1e-9)


def test_wilson_s_interval_holds_what_it_should():
    for n in (10, 50, 400):
        counts = np.arange(n + 1)
        ends = np.array([wilson(k, n) for k in counts])
        assert (ends[:, 0] <= counts / n).all()
        assert (ends[:, 1] >= counts / n).all()
        assert np.allclose(ends[:, 0], 1 - ends[::-1, 1])
        for p in (0.05, 0.2, 0.5, 0.9):
            held = (ends[:, 0] <= p) & (p <= ends[:, 1])
            assert 0.9 < binom.pmf(counts, n, p) @ held < 0.995
    p = np.linspace(0.05, 0.95, 181)
    ends = np.array([wilson(k, 100) for k in range(101)])
    held = (ends[:, :1] <= p) & (p <= ends[:, 1:])
    covered = (binom.pmf(np.arange(101)[:, None], 100, p) * held).sum(axis=0)
    assert covered.mean() == pytest.approx(0.95, abs=0.005)
    assert np.isnan(wilson(0, 0)).all()


def test_bootstrap_intervals_hold_what_they_should():
    generator = np.random.default_rng(11)
    n, times, hits = 100, 2000, 0
    for _ in range(times):
        sample = generator.normal(2.0, 3.0, n)
        low, high = percentile_interval(resample_weights(n, 300, generator) @ sample)
        hits += low <= 2.0 <= high
    # A percentile interval of 100 holds 94.4 % (t is wider by 1.2 %, and it divides by n).
    assert abs(hits / times - 0.944) < 4 * np.sqrt(0.944 * 0.056 / times)


def test_resamples_are_whole_and_draw_everyone_alike():
    weights = resample_weights(30, 2000, np.random.default_rng(0))
    assert weights.shape == (2000, 30)
    assert np.allclose(weights.sum(axis=1), 1)
    assert np.allclose(weights * 30, np.round(weights * 30))
    counts = weights * 30
    assert np.abs(counts.mean(axis=0) - 1).max() < 4.5 / np.sqrt(2000)
    assert counts.var() == pytest.approx(1 - 1 / 30, abs=0.03)


def test_percentiles_leave_a_fortieth_at_each_end():
    assert percentile_interval(np.arange(1001.0)) == pytest.approx((25.0, 975.0))


def test_a_percentile_of_what_is_undefined_is_undefined():
    assert np.isnan(percentile_interval(np.array([1.0, np.nan, 2.0]))).all()


def test_matched_success_is_that_of_the_frontier_s_end_at_most():
    exact = oracle(FENCED)
    end = exact.need.max_success
    one = context(FENCED, episodes(FENCED, 40, success=1), oracle=exact)
    assert one.matched == end
    below = context(FENCED, episodes(FENCED, 40, success=np.arange(40) < 20), oracle=exact)
    assert below.matched == 0.5
    far = context(FENCED, episodes(FENCED, 5000, success=1), oracle=exact)
    assert np.isnan(far.matched)
    alone = context(FENCED, episodes(FENCED, 5000, success=1))
    assert alone.matched == 1
    blind = context(FENCED, episodes(FENCED, 9), oracle=replace(exact, injective=False))
    assert blind.frontier is None


def test_measures_of_power_are_metrics():
    assert not metric_of("placebo").of_power
    assert {"acquired", "excess", "disabled"} <= {m.id for m in every_metric() if m.of_power}
    assert "acquired" in values(everything(FENCED))
