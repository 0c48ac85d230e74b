"""``python -m benchmarks.verdicts``: how often verdicts are wrong, simulated.

The numbers stand in the docstrings of what decides (`powerseek.experiments.statistics`); the slow
test beside it repeats a smaller simulation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy import stats

from powerseek.experiments.statistics.bootstrap import Estimate
from powerseek.experiments.statistics.comparisons import (
    TWO_ARMS,
    UNBOUNDED,
    Asked,
    Comparison,
    Units,
    compare_groups,
)
from powerseek.experiments.statistics.families import (
    PValues,
    adjust_family,
    adjust_p_values,
    look_levels,
)
from powerseek.experiments.statistics.rest import Rest, swing_of
from powerseek.experiments.statistics.verdicts import Question, decide_hypothesis
from powerseek.metrics.expected import line_drift
from powerseek.types import Floats

Draw = Callable[[np.random.Generator, int], Floats]
"""[studies, arms, seeds] of so many studies."""


def compared(drawn: Floats, rng: np.random.Generator, **asked: object) -> list[Comparison]:
    """One comparison a study: [studies, arms, seeds] of one or two arms."""
    studies, arms, seeds = drawn.shape
    group, cell = (np.repeat(part, seeds) for part in np.indices((studies, arms)).reshape(2, -1))
    units = Units(drawn.ravel(), group, cell, np.zeros(drawn.size, dtype=np.int64))
    question = Asked(weights=TWO_ARMS[:arms], **asked)  # type: ignore[arg-type]
    return compare_groups(units, [question] * studies, rng)


def answers(found: Sequence[Comparison], direction: str, level: float = 0.05) -> list[str]:
    """The verdict of each study by itself, of one hypothesis."""
    one_sided = found[0].arms == 1
    told = []
    for one in found:
        asked = Question(direction, (one,), one_sided=one_sided)
        (p,) = adjust_family([asked.tests()])
        told.append(decide_hypothesis(asked, p, control=True, level=level).answer)
    return told


def normal(mean: float, sd: float = 1.0, other: float = 1.0, seeds: int = 16) -> Draw:
    """Two arms, the first with another mean."""
    sds = np.array([sd, other])[:, None]
    means = np.array([mean, 0.0])[:, None]
    return lambda rng, n: means + sds * rng.normal(size=(n, 2, seeds))


def jumping(a: float, b: float, noise: float = 0.0, seeds: int = 16) -> Draw:
    """Two arms of 0/1 seeds with these chances, and noise within [0, 1]."""
    chances = np.array([a, b])[:, None]

    def draw(rng: np.random.Generator, n: int) -> Floats:
        shape = (n, 2, seeds)
        drawn = (rng.random(shape) < chances) + noise * rng.normal(size=shape)
        return np.asarray(np.clip(drawn, 0, 1), dtype=np.float64)

    return draw


def seekers(share: float, far: float, seeds: int, arms: int = 1, noise: float = 0.05) -> Draw:
    """Seeds near 0, of which in the first arm a share lies at `far` (trap 18)."""

    def draw(rng: np.random.Generator, n: int) -> Floats:
        drawn = noise * rng.normal(size=(n, arms, seeds))
        drawn[:, 0] += far * (rng.random((n, seeds)) < share)
        return np.minimum(drawn, far)

    return draw


NO_EFFECT: dict[str, tuple[Draw, float, bool]] = {
    "normal": (normal(0), 0.5, False),
    "normal, SD 1 against 3": (normal(0, 1, 3), 0.5, False),
    "0/1 with chance .5": (jumping(0.5, 0.5), 0.3, True),
    "0/1 with chance .2": (jumping(0.2, 0.2), 0.3, True),
    "0/1 with chance .05": (jumping(0.05, 0.05), 0.3, True),
}
AT_MARGIN: dict[str, tuple[Draw, float, bool]] = {
    "normal": (normal(1, 0.5, 0.5), 1.0, False),
    "0/1 with chance .2 against always 0, with noise": (jumping(0.2, 0, 0.03), 0.2, True),
    "0/1 with chance .5 against .2": (jumping(0.5, 0.2), 0.3, True),
    "one seed in ten at +5, margin .5": (seekers(0.1, 5, 16, 2), 0.5, False),
    "the same, 40 seeds": (seekers(0.1, 5, 40, 2), 0.5, False),
}


def wrong_contrasts(studies: int, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Rates of an effect found where there is none, and of none where it is the margin."""
    for cases, wrong in (
        (NO_EFFECT, ("supported", "refuted")),
        (AT_MARGIN, ("equivalent to none",)),
    ):
        for name, (draw, margin, bounded) in cases.items():
            bounds = (0.0, 1.0) if bounded else UNBOUNDED
            found = compared(draw(rng, studies), rng, margin=margin, bounds=bounds)
            told = answers(found, "larger")
            what = "no effect" if cases is NO_EFFECT else "at the margin"
            yield f"{what}: {name}", float(np.mean([answer in wrong for answer in told]))
            if name.startswith(("one seed", "the same")):
                seen = [one.tail[0] > 0 for one, a in zip(found, told, strict=True) if a in wrong]
                yield (
                    f"  of which the count of the tail shows a seeker: {name}",
                    float(np.mean(seen)),
                )


def _rate(cases: Sequence[bool]) -> float:
    return float(np.mean(cases)) if cases else float("nan")


def found_effects(studies: int, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Rates at which what is there is found, 16 seeds an arm."""
    for name, draw, margin, bounded, wanted in (
        ("effect of 1 SD", normal(1), 0.5, False, "supported"),
        ("effect of 1.5 SD", normal(1.5), 0.5, False, "supported"),
        ("0/1 with chance .9 against .1", jumping(0.9, 0.1), 0.3, True, "supported"),
        ("none, margin 1.2 SD", normal(0), 1.2, False, "equivalent to none"),
    ):
        bounds = (0.0, 1.0) if bounded else UNBOUNDED
        told = answers(compared(draw(rng, studies), rng, margin=margin, bounds=bounds), "larger")
        yield name, float(np.mean([answer == wanted for answer in told]))


def rare_seekers(studies: int, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Rates of "none" where seekers lift the mean to the margin: t test, and betting (trap 18)."""
    for share, far in ((0.1, 5.0), (0.05, 10.0)):
        for seeds in (16, 20, 40, 60):
            drawn = seekers(share, far, seeds)(rng, studies)
            for name, bounds in (("t test", UNBOUNDED), ("betting", (-10.0, far))):
                found = compared(drawn, rng, margin=share * far, bounds=bounds)
                told = answers(found, "none")
                yield (
                    f"{share:g} of seeds at +{far:g}, {seeds} seeds, {name}",
                    float(np.mean([answer == "supported" for answer in told])),
                )
    for share, far in ((0.0, 5.0),):
        for seeds in (20, 40, 60):
            found = compared(
                seekers(share, far, seeds)(rng, studies), rng, margin=0.5, bounds=(-10.0, far)
            )
            told = answers(found, "none")
            rate = float(np.mean([answer == "supported" for answer in told]))
            yield f"no seeker, range up to ten margins, {seeds} seeds, betting supports", rate


def two_looks(studies: int, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Rates of an effect found without one at 16 or 32 seeds."""
    drawn = normal(0, seeds=32)(rng, studies)
    looks = [compared(drawn[:, :, :seeds], rng, margin=0.5) for seeds in (16, 32)]
    for name, levels in (
        ("one look, at 32 seeds", (0.0, 0.05)),
        ("two looks at .05 each", (0.05, 0.05)),
        ("two looks at .01 and .04", tuple(look_levels([16, 32]).values())),
    ):
        wrong = np.zeros(studies, dtype=bool)
        for found, level in zip(looks, levels, strict=True):
            told = [
                Question("larger", (one,)).tests().difference < level
                and not one.effect.low <= 0 <= one.effect.high
                for one in found
            ]
            wrong |= np.array(told)
        yield name, float(wrong.mean())


def families(
    studies: int, rng: np.random.Generator, seeds: int = 40
) -> Iterator[tuple[str, float]]:
    """Rates of studies with a wrong answer, of ten hypotheses, half of them at the margin."""
    effects = np.array([0.0] * 5 + [1.0] * 5)
    wrong = dict.fromkeys(("one family", "two families", "the smaller p of each"), 0)
    a = effects[:, None] + rng.normal(size=(studies, 10, seeds))
    b = rng.normal(size=(studies, 10, seeds))

    def p(shift: float, side: str) -> Floats:
        found = stats.ttest_ind(a + shift, b, axis=2, equal_var=False, alternative=side)
        return np.asarray(found.pvalue, dtype=np.float64)

    difference, none = p(0, "two-sided"), np.maximum(p(1, "greater"), p(-1, "less"))
    null = effects == 0
    for d, e in zip(difference, none, strict=True):
        one = np.array(adjust_family([PValues(*pair) for pair in zip(d, e, strict=True)]))
        two = np.stack([adjust_p_values(d), adjust_p_values(e)], axis=1)
        least = adjust_p_values(np.minimum(d, e))
        small = np.stack([np.where(d <= e, least, 1), np.where(e < d, least, 1)], axis=1)
        for name, adjusted in zip(wrong, (one, two, small), strict=True):
            found = adjusted < 0.05
            wrong[name] += bool(found[null, 0].any() or found[~null, 1].any())
    for name, count in wrong.items():
        yield f"{name}: studies with a wrong answer", count / studies


def settled(studies: int, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Rates of contrasts called at rest: margin = seed SD, drift SD 1.25, five evaluations."""
    at = np.arange(5) - 2
    for drift in (0.0, 1.0):
        for seeds in (16, 28, 40):
            level = rng.normal(size=(studies, 2, seeds, 1))
            slope = 1.25 * rng.normal(size=(studies, 2, seeds, 1))
            slope[:, 0] += drift
            curve = level + slope * at / 5
            moved = line_drift(curve.reshape(-1, 5)).reshape(studies, 2, seeds)
            found = compared(moved, rng, margin=1.0)
            mean = curve.mean(axis=2)
            swings = [swing_of(one) for one in mean[:, 0] - mean[:, 1]]
            rests = (
                Rest(Estimate(c.effect.value, *c.narrow, seeds), s, 5, True, 1e5)
                for c, s in zip(found, swings, strict=True)
            )
            rate = float(np.mean([one.settled(1.0) for one in rests]))
            yield f"drift of {drift:g} margins, {seeds} seeds: called at rest", rate


ALL = {
    "contrasts": wrong_contrasts,
    "power": found_effects,
    "seekers": rare_seekers,
    "looks": two_looks,
    "families": families,
    "settled": settled,
}


def main() -> None:
    """Print every rate; of how many studies is the first argument, 1500 by default."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
    for name, simulate in ALL.items():
        print(f"{name}, {studies} studies each")
        for what, rate in simulate(studies, np.random.default_rng(0)):
            print(f"  {rate:.3f}  {what}")


if __name__ == "__main__":
    main()
