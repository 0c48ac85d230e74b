"""The methods of evolution on functions whose answers are known."""

import math

import numpy as np
import pytest
from scipy.stats import rankdata

from powerseek.agents.evolution.methods import (
    METHODS,
    Genetic,
    OpenAIES,
    RandomSearch,
    SeparableCMA,
    antithetic_gradient,
    centred_ranks,
)
from powerseek.agents.evolution.settings import settings_for

every = pytest.mark.parametrize("method", METHODS)


def founders(population, size, seed=0):
    return np.random.default_rng(seed).normal(size=(population, size))


def made(method, size=5, start=None, **given):
    """A method of few members, from `start` or from founders that differ."""
    chosen = {"population": 8, "parents": 3, "elites": 2, "directions": 2}
    own = settings_for({"method": method})
    settings = own | {n: v for n, v in chosen.items() if n in own} | given
    first = founders(settings["population"], size)
    if start is not None:
        first[0] = start
    return METHODS[method](first, settings)


def run(method, function, generations, seed=1):
    """Tell a method what a function [n, size] -> [n] says, so many times; all it asked for."""
    generator, asked = np.random.default_rng(seed), []
    for _ in range(generations):
        asked.append(method.ask(generator).copy())
        method.tell(function(asked[-1]))
    return asked


def sphere(x):
    return -(x**2).sum(axis=-1)


# --- what all have in common ---------------------------------------------------------------------


@every
def test_each_climbs_a_hill(method):
    found = made(method, size=10, start=np.full(10, 2.0), population=32, sigma=0.2)
    run(found, sphere, 300)
    # What members differ by bounds how near one that does not adapt it can come.
    assert sphere(found.best) > -1
    if method == "cma":
        assert sphere(found.best) > -1e-10


@pytest.mark.parametrize("method", ["es", "cma", "ga"])
def test_fitness_is_read_by_rank(method):
    """Any rising transformation of fitness gives the same bits."""
    plain, bent = made(method, size=6), made(method, size=6)
    run(plain, sphere, 20)
    run(bent, lambda x: np.exp(3 * sphere(x)) - 7, 20)
    assert np.array_equal(plain.best, bent.best)
    assert not np.array_equal(plain.best, made(method, size=6).best)


@every
def test_a_flat_fitness_leads_nowhere(method):
    """Where all are equal no mean is drawn towards one of them for its place among the others."""
    found = made(method, size=4, start=np.zeros(4))
    run(found, lambda x: np.zeros(len(x)), 3)
    if method == "cma":  # even weights: the mean of what was drawn, not of its first half
        assert np.abs(found.best).max() < 3 * 3 * found.sigma / math.sqrt(8)
    elif method == "ga":
        assert found.order.tolist() == list(range(8))
    else:
        assert np.array_equal(found.best, np.zeros(4))


@every
def test_state_is_all_that_later_generations_depend_on(method):
    whole, part = made(method), made(method)
    run(whole, sphere, 4)
    run(part, sphere, 4)
    kept = part.arrays()
    run(part, sphere, 1, seed=3)  # what was kept is a copy
    again = made(method)
    again.restore({name: np.array(value) for name, value in kept.items()})
    for one in (whole, again):
        run(one, sphere, 3, seed=2)
    assert np.array_equal(whole.best, again.best)
    for name, value in whole.arrays().items():
        assert np.array_equal(value, again.arrays()[name]), name
    with pytest.raises(ValueError, match=r"of shape|another population"):
        made(method, size=6).restore(kept)


# --- OpenAI-ES -----------------------------------------------------------------------------------

BASIS = math.sqrt(4) * np.eye(4)
"""Draws that lie as evenly as normal ones do on average: the mean of e e' over them is 1."""


def test_antithetic_gradient_is_that_of_a_linear_function():
    slope, centre = np.array([3.0, -1.0, 0.5, 0.0]), np.array([1.0, 2.0, 3.0, 4.0])
    for sigma in (0.01, 0.7):
        away = sigma * BASIS
        worth = np.concatenate([(centre + away) @ slope, (centre - away) @ slope])
        assert antithetic_gradient(BASIS, worth, sigma) == pytest.approx(slope)
    noise = np.random.default_rng(0).normal(size=(40_000, 4))
    worth = np.concatenate([noise @ slope, -noise @ slope])
    assert antithetic_gradient(noise, worth, 1.0) == pytest.approx(slope, abs=0.06)


def test_antithetic_gradient_of_a_quadratic_is_exact_at_any_sigma():
    """Its even part cancels within a pair: -2x, where smoothing adds a constant alone."""
    centre = np.array([1.0, -2.0, 0.0, 0.5])
    for sigma in (0.1, 3.0):
        away = sigma * BASIS
        worth = np.concatenate([sphere(centre + away), sphere(centre - away)])
        assert antithetic_gradient(BASIS, worth, sigma) == pytest.approx(-2 * centre)


def test_ranks_are_centred_and_shared_by_equals():
    fitness = np.array([3.0, -1.0, 3.0, 0.0, 7.0, 3.0])
    expected = (rankdata(fitness) - 1) / 5 - 0.5
    assert centred_ranks(fitness) == pytest.approx(expected, abs=1e-15)
    assert centred_ranks(np.zeros(8)).tolist() == [0.0] * 8


def test_es_steps_are_those_of_adam():
    found = made("es", size=4, start=np.zeros(4), learning_rate=0.25)
    slopes, generator, means = [], np.random.default_rng(5), [np.zeros(4)]
    for _ in range(3):
        members = found.ask(generator)
        assert members[:4] + members[4:] == pytest.approx(2 * np.tile(found.mean, (4, 1)))
        fitness = members @ np.array([1.0, -2.0, 3.0, 0.5])
        ranks = (rankdata(fitness) - 1) / 7 - 0.5
        noise = (members[:4] - found.mean) / found.sigma
        slopes.append(sum((ranks[i] - ranks[i + 4]) * noise[i] for i in range(4)) / 8 / found.sigma)
        found.tell(fitness)
        means.append(found.mean)
    first = second = np.zeros(4)
    for t, slope in enumerate(slopes, 1):
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        step = first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        assert means[t] - means[t - 1] == pytest.approx(0.25 * step)
    assert means[1] == pytest.approx(0.25 * np.sign(slopes[0]), abs=1e-6)


# --- separable CMA-ES ----------------------------------------------------------------------------


def one_generation(n, mean, sigma, variances, noise, fitness):
    """The paper's first generation, written out with loops."""
    population = len(fitness)
    mu = population // 2
    raw = [math.log(mu + 1) - math.log(i) for i in range(1, mu + 1)]
    w = [x / sum(raw) for x in raw]
    mu_eff = 1 / sum(x * x for x in w)
    c_s = (mu_eff + 2) / (n + mu_eff + 3)
    d_s = 1 + c_s + 2 * max(0, math.sqrt((mu_eff - 1) / (n + 1)) - 1)
    c_c = 4 / (n + 4)
    c_cov = 1 / mu_eff * 2 / (n + math.sqrt(2)) ** 2
    c_cov += (1 - 1 / mu_eff) * min(1, (2 * mu_eff - 1) / ((n + 2) ** 2 + mu_eff))
    c_cov *= (n + 2) / 3
    chi = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))
    best = sorted(range(population), key=lambda k: -fitness[k])[:mu]
    z = [sum(w[i] * noise[best[i]][j] for i in range(mu)) for j in range(n)]
    new_mean = [mean[j] + sigma * math.sqrt(variances[j]) * z[j] for j in range(n)]
    p_s = [math.sqrt(c_s * (2 - c_s) * mu_eff) * x for x in z]
    norm = math.sqrt(sum(x * x for x in p_s))
    h = norm / math.sqrt(1 - (1 - c_s) ** 2) < (1.4 + 2 / (n + 1)) * chi
    p_c = [
        h * math.sqrt(c_c * (2 - c_c) * mu_eff) * math.sqrt(variances[j]) * z[j] for j in range(n)
    ]
    new = []
    for j in range(n):
        among = sum(w[i] * variances[j] * noise[best[i]][j] ** 2 for i in range(mu))
        old = (1 - c_cov) * variances[j] + c_cov / mu_eff * p_c[j] ** 2
        new.append(old + c_cov * (1 - 1 / mu_eff) * among)
    return new_mean, sigma * math.exp(c_s / d_s * (norm / chi - 1)), new


@pytest.mark.parametrize("scale", [1, 20])  # steps so long hold the path of the matrix still
@pytest.mark.parametrize(("size", "population"), [(2, 6), (7, 12), (40, 9)])
def test_cma_does_what_the_paper_says(size, population, scale):
    found = made("cma", size=size, population=population, sigma=0.7)
    found.variances = np.linspace(0.5, 2.0, size)
    before = found.mean, found.sigma, found.variances
    members = found.ask(np.random.default_rng(3))
    assert members == pytest.approx(before[0] + before[1] * np.sqrt(before[2]) * found.noise)
    noise = found.noise = scale * found.noise
    fitness = sphere(members)
    found.tell(fitness)
    assert (found.path == 0).all() == (scale > 1)
    mean, sigma, variances = one_generation(size, *before, noise, fitness)
    assert found.mean == pytest.approx(mean)
    assert found.sigma == pytest.approx(sigma)
    assert found.variances == pytest.approx(variances)


def test_cma_learns_the_scales_of_a_separable_function():
    """Of an ellipsoid whose axes differ by a thousand; variances end as its inverse curvature."""
    scales = 10 ** np.linspace(0, 6, 10)
    found = made("cma", size=10, start=np.ones(10), population=10, sigma=0.5)
    run(found, lambda x: -(scales * x**2).sum(axis=1), 600)
    assert (scales * found.best**2).sum() < 1e-8
    flat = np.log10(found.variances * scales)
    assert flat.std() < 0.5 < np.log10(found.variances).std()


def test_cma_weighs_equals_alike_in_whatever_order_they_stand():
    order = np.random.default_rng(2).permutation(8)
    fitness = np.array([1.0, 0.0, 1.0, 1.0, 2.0, 0.0, 0.0, 1.0])
    plain, mixed = made("cma"), made("cma")
    plain.ask(np.random.default_rng(1))
    mixed.ask(np.random.default_rng(1))
    mixed.noise = mixed.noise[order]
    plain.tell(fitness)
    mixed.tell(fitness[order])
    assert mixed.mean == pytest.approx(plain.mean, abs=1e-14)
    assert mixed.variances == pytest.approx(plain.variances, abs=1e-14)
    assert plain._shares(np.zeros(8)) == pytest.approx(np.full(8, 1 / 8))


def test_cma_neither_grows_nor_shrinks_where_there_is_nothing_to_learn():
    noise, ends = np.random.default_rng(0), []
    for seed in range(20):
        found = made("cma", size=20, sigma=1.0)
        run(found, lambda x: noise.normal(size=len(x)), 200, seed)
        ends.append(math.log(found.sigma))
    assert abs(np.mean(ends)) < 0.5


def test_cma_is_as_fast_as_a_published_one():
    """pycma with a diagonal matrix, whose constants are later ones, on an ellipsoid."""
    cma = pytest.importorskip("cma")
    scales = 10 ** np.linspace(0, 4, 12)

    def cost(x):
        return (scales * np.asarray(x) ** 2).sum(axis=-1)

    theirs, ours = [], []
    for seed in range(1, 6):
        options = {"CMA_diagonal": True, "popsize": 12, "seed": seed, "verbose": -9}
        other = cma.CMAEvolutionStrategy(12 * [1.0], 0.5, {**options, "ftarget": 1e-8})
        theirs.append(other.optimize(cost).result.evaluations)
        found, count = made("cma", size=12, start=np.ones(12), population=12, sigma=0.5), 0
        generator = np.random.default_rng(seed)
        while True:
            members = found.ask(generator)
            costs, count = cost(members), count + 12
            if costs.min() < 1e-8:
                break
            found.tell(-costs)
        ours.append(count)
    assert 0.5 < np.median(ours) / np.median(theirs) < 2


# --- genetic algorithm ---------------------------------------------------------------------------


def test_lineage_is_a_forest_of_those_who_were_fit():
    found = made("ga", population=10, parents=4, elites=2)
    generator, members, fitness = np.random.default_rng(0), [], []
    for _ in range(6):
        members.append(found.ask(generator).copy())
        fitness.append(sphere(members[-1]))
        found.tell(fitness[-1])
    line = found.lineage
    assert line.parents.shape == (5, 10)
    for g, row in enumerate(line.parents):
        best = np.argsort(-fitness[g])
        assert set(row) <= set(best[:4])
        assert row[:2].tolist() == best[:2].tolist()
        changed = members[g + 1] - members[g][row]
        assert (changed[:2] == 0).all()
        assert (changed[2:] != 0).all()
        assert 0.1 < changed[2:].std() < 0.6  # sigma is .3
    assert line.champion == np.argmax(fitness[-1])
    path = [line.champion]
    for row in line.parents[::-1]:
        path.append(row[path[-1]])
    assert line.ancestors.tolist() == path[::-1]
    assert line.mutations == sum(one >= 2 for one in path[:-1])
    assert line.founders[line.champion] == path[-1]
    assert found.told == {"mutations": line.mutations, "founders": len(set(line.founders))}
    assert np.array_equal(found.best, members[-1][line.champion])


def test_elites_are_never_lost_where_nothing_is_left_to_chance():
    found = made("ga", size=3, population=12, parents=5, elites=1)
    best = [sphere(members).max() for members in run(found, sphere, 40)]
    assert (np.diff(best) >= 0).all()
    assert best[-1] > best[0]


def test_all_descend_from_one_in_the_end():
    found = made("ga")
    assert found.lineage.founders.tolist() == list(range(8))
    assert found.lineage.mutations == 0
    run(found, sphere, 150)
    line = found.lineage
    assert line.parents.shape == (149, 8)
    assert len(set(line.founders)) == 1
    assert found.told == {"mutations": line.mutations, "founders": 1}


# --- augmented random search ---------------------------------------------------------------------


def test_ars_takes_the_published_step():
    """Three pairs of which two are used: .5 / (2 x sd of 4, 0, 1, 2) x (4 (1, 0) - 1 (1, 1))."""
    found = made("ars", size=2, start=np.zeros(2), population=6, directions=2, learning_rate=0.5)
    found.ask(np.random.default_rng(0))
    found.noise = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    found.tell(np.array([4.0, 0.5, 1.0, 0.0, 1.5, 2.0]))
    deviation = np.std([4.0, 0.0, 1.0, 2.0])
    assert deviation == pytest.approx(math.sqrt(2.1875))
    assert found.mean == pytest.approx(0.5 / (2 * deviation) * np.array([3.0, -1.0]))


def test_ars_with_all_pairs_goes_up_a_linear_function():
    slope = np.array([2.0, -1.0, 0.0])
    found = made("ars", size=3, start=np.zeros(3), population=4000, directions=2000)
    run(found, lambda x: x @ slope, 1)
    step = found.best / np.linalg.norm(found.best)
    assert step == pytest.approx(slope / np.linalg.norm(slope), abs=0.1)


def test_the_table_names_each():
    assert set(METHODS.values()) == {OpenAIES, SeparableCMA, Genetic, RandomSearch}
