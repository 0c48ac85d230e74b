"""USEFULNESS, NEUTRALITY and DReST against published numbers, enumeration and exact fractions."""

from fractions import Fraction
from itertools import product
from math import log2, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known
from scipy.stats import binom, entropy

from powerseek.errors import InvalidInput
from powerseek.exact.measures.shutdown import drest_return, drest_rewards, neutrality, usefulness

SHARES = st.lists(st.floats(0.01, 1), min_size=1, max_size=4).map(
    lambda weights: np.array(weights) / sum(weights)
)


def test_drest_metrics():
    case = known("drest_metrics")
    p, ratio, expected = case.spec["p"], case.spec["c_over_m"], case.expected
    assert usefulness(p, ratio) == pytest.approx(expected["USEFULNESS"], abs=case.tolerance)
    assert neutrality(p) == pytest.approx(expected["NEUTRALITY"], abs=case.tolerance)
    uneven = neutrality(case.spec["p2"])
    assert uneven == pytest.approx(expected["NEUTRALITY_p2"], abs=case.tolerance)


def test_drest_reward_sequence():
    case = known("drest_reward_sequence")
    spec = case.spec
    found = drest_rewards(spec["lengths_chosen"], spec["c_over_m"], spec["lambda"], spec["k"])
    assert found == pytest.approx(case.expected["rewards"], abs=case.tolerance)


def test_drest_neutrality_counterexample():
    case = known("drest_neutrality_counterexample")
    spec, expected = case.spec, case.expected
    uneven, even = spec["iid length choice p"]
    gaps = [
        drest_return(uneven, spec["lambda"], spec["k"], n, spec["c_over_m"])
        - drest_return(even, spec["lambda"], spec["k"], n, spec["c_over_m"])
        for n in spec["meta_episode_lengths"]
    ]
    difference = expected["return_difference_(1/4,3/4)-(1/2,1/2)"]
    assert gaps == pytest.approx(difference, abs=case.tolerance)
    # Every number in it is a fraction with a power of two below: floats hold it exactly.
    assert [Fraction(gap) for gap in gaps] == [Fraction(exact) for exact in expected["exact"]]


def by_enumeration(p, lambda_, k, n, ratio):
    """Expected return over every sequence of n lengths, each paid by `drest_rewards`."""
    lengths = range(len(p))
    return sum(
        np.prod([p[choice] for choice in chosen])
        * drest_rewards(chosen, [ratio[choice] for choice in chosen], lambda_, k).sum()
        for chosen in product(lengths, repeat=n)
    )


@settings(max_examples=30)
@given(
    p=SHARES,
    lambda_=st.floats(0.05, 0.99),
    spare=st.integers(0, 2),
    n=st.integers(1, 4),
    seed=st.integers(0, 10**6),
)
def test_the_return_is_the_mean_over_every_sequence(p, lambda_, spare, n, seed):
    ratio, k = np.random.default_rng(seed).random(len(p)), len(p) + spare
    expected = by_enumeration(p, lambda_, k, n, ratio)
    assert drest_return(p, lambda_, k, n, ratio) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=30)
@given(p=SHARES, lambda_=st.floats(0.05, 0.99), n=st.integers(1, 30))
def test_the_return_follows_from_the_counts_before(p, lambda_, n):
    k = len(p)
    expected = sum(
        lambda_ ** (-i / k)
        * sum(q * (binom.pmf(np.arange(i + 1), i, q) @ lambda_ ** np.arange(i + 1)) for q in p)
        for i in range(n)
    )
    assert drest_return(p, lambda_, k, n) == pytest.approx(expected, rel=1e-9)


def test_near_one_the_even_choice_earns_most():
    # The paper's .9: whatever the counterexample shows for 1/4, here neutral is best.
    returns = [drest_return([q, 1 - q], 0.9, 2, 8) for q in np.linspace(0, 1, 41)]
    assert np.argmax(returns) == 20


@given(SHARES)
def test_neutrality_is_entropy_within_its_range(p):
    assert neutrality(p) == pytest.approx(entropy(p, base=2), abs=1e-12)
    assert 0 <= neutrality(p) <= log2(len(p)) + 1e-12
    assert neutrality([*p, 0.0]) == pytest.approx(neutrality(p), abs=1e-12)


def test_one_length_is_not_neutral_at_all():
    assert str(neutrality([0.0, 1.0])) == "0.0"


@given(SHARES, st.integers(0, 10**6))
def test_usefulness_is_a_mean_and_what_is_never_chosen_counts_nothing(p, seed):
    ratio = np.random.default_rng(seed).random(len(p))
    found = usefulness(p, ratio)
    assert ratio.min() - 1e-12 <= found <= ratio.max() + 1e-12
    assert usefulness([*p, 0.0], [*ratio, 0.3]) == pytest.approx(found)
    assert usefulness(p, 1.0) == pytest.approx(1)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12), st.floats(0.1, 0.95))
def test_rewards_do_not_depend_on_what_lengths_are_called(chosen, lambda_):
    named = drest_rewards(chosen, 1.0, lambda_, 3)
    numbered = drest_rewards(["abc".index(letter) for letter in chosen], 1.0, lambda_, 3)
    assert np.array_equal(named, numbered)
    assert drest_rewards(chosen, 0.5, lambda_, 3) == pytest.approx(named / 2)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: usefulness([0.5, 0.4], [1, 1]), "p:"),
        (lambda: usefulness([0.5, 0.5], [1, 1.1]), "ratio:"),
        (lambda: usefulness([0.5, 0.5], [1, nan]), "ratio:"),
        (lambda: usefulness([0.5, 0.5], [1, 1, 1]), "ratio:"),
        (lambda: neutrality([]), "p:"),
        (lambda: neutrality([1.5, -0.5]), "p:"),
        (lambda: neutrality([nan, 1]), "p:"),
        (lambda: neutrality([[0.5, 0.5]]), "p:"),
        (lambda: drest_rewards([], 1.0, 0.9, 2), "lengths:"),
        (lambda: drest_rewards("abc", 1.0, 0.9, 2), "k:"),
        (lambda: drest_rewards("ab", 1.0, 0.9, 2.5), "k:"),
        (lambda: drest_rewards("ab", 1.0, 1.0, 2), "lambda_:"),
        (lambda: drest_rewards("ab", 1.0, nan, 2), "lambda_:"),
        (lambda: drest_rewards("ab", [1, -1], 0.9, 2), "ratios:"),
        (lambda: drest_rewards(["a"] * 200 + ["b"], 0.5, 1e-4, 2), "lambda_:"),
        (lambda: drest_return([1.0], 0.9, 0, 4), "k:"),
        (lambda: drest_return([1.0], 0.9, 2, 0), "n:"),
        (lambda: drest_return([1.0], 0.9, 2, nan), "n:"),
        (lambda: drest_return([0.5, 0.5], 1e-4, 2, 2000, [0, 1]), "lambda_:"),
    ],
)
def test_bad_input_is_named(call, field):
    with pytest.raises(InvalidInput, match=f"^{field}"):
        call()
