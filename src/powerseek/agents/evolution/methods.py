"""The methods of evolution: what is asked next, and what its fitness teaches. Arrays alone.

Each asks for members [P, size] and is then told their fitness [P], the greater the better. All
that later generations depend on are the arrays of `arrays`, besides the generator that is handed
over; between a question and its answer there is more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from powerseek.agents.evolution.lineage import Lineage
from powerseek.agents.job import Settings
from powerseek.types import Floats, Ints


class Method:
    """A method of evolution.

    Args:
        founders: [P, size] untrained members; a distribution begins at the first of them.
        settings: Complete ones.

    Attributes:
        kept: Names of the arrays that `arrays` gives.
    """

    kept: ClassVar[tuple[str, ...]] = ()

    def __init__(self, founders: Floats, settings: Settings) -> None:
        self.population, self.size = founders.shape

    def ask(self, generator: np.random.Generator) -> Floats:
        """[P, size] the members of the next generation."""
        raise NotImplementedError

    def tell(self, fitness: Floats) -> None:
        """Learn from the fitness [P] of the members that were asked for last."""
        raise NotImplementedError

    @property
    def best(self) -> Floats:
        """[size] the parameters of the policy that has been found."""
        raise NotImplementedError

    @property
    def lineage(self) -> Lineage | None:
        """The ancestors of `best`; None, as here, of a method without any."""
        return None

    @property
    def told(self) -> dict[str, float]:
        """Its own state in numbers, by name."""
        return {}

    def arrays(self) -> dict[str, Any]:
        """Copies of all that later generations depend on."""
        return {name: np.array(getattr(self, name)) for name in self.kept}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Stand where `arrays` was taken, of as many members of the same size.

        Raises:
            ValueError: An array of another shape.
        """
        for name in self.kept:
            now, kept = np.array(getattr(self, name)), np.asarray(arrays[name])
            if now.shape != kept.shape:
                raise ValueError(f"{name} of shape {kept.shape}, where {now.shape} is due")
            setattr(self, name, kept.astype(now.dtype))


def mean_ranks(fitness: Floats) -> Floats:
    """[P] ranks from 0, the least first; equals share the mean of theirs."""
    _, which, counts = np.unique(fitness, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Floats = (ends - (counts + 1) / 2)[which]
    return ranks


def centred_ranks(fitness: Floats) -> Floats:
    """[P] ranks as numbers from -.5 to .5 that sum to 0; P >= 2."""
    centred: Floats = mean_ranks(fitness) / (len(fitness) - 1) - 0.5
    return centred


def antithetic_gradient(noise: Floats, worth: Floats, sigma: float) -> Floats:
    """[size] an estimate of the gradient of expected worth in the mean of a distribution.

    The mean over pairs of (worth(mean + sigma e) - worth(mean - sigma e)) e / (2 sigma): exact in
    expectation for linear worth, and for any the gradient of its smoothed version.

    Args:
        noise: [P / 2, size] e of each pair.
        worth: [P] of the members with + first, then of those with -.
        sigma: > 0.
    """
    half = len(noise)
    gradient: Floats = (worth[:half] - worth[half:]) @ noise / (2 * sigma * half)
    return gradient


class OpenAIES(Method):
    """Evolution strategy of Salimans et al. 2017 (arXiv:1703.03864).

    Mirrored pairs around a mean, centred ranks in place of fitness, and Adam (Kingma and Ba 2015)
    up the estimated gradient.
    """

    kept = ("mean", "momentum", "square", "steps")

    def __init__(self, founders: Floats, settings: Settings) -> None:
        super().__init__(founders, settings)
        self.sigma, self.rate = settings["sigma"], settings["learning_rate"]
        self.mean: Floats = founders[0].copy()
        self.momentum, self.square = np.zeros((2, self.size))
        self.steps: Any = 0

    def ask(self, generator: np.random.Generator) -> Floats:
        """See Method.ask; [:P / 2] stand opposite to [P / 2:]."""
        self.noise = generator.normal(size=(self.population // 2, self.size))
        away = self.sigma * self.noise
        return np.concatenate([self.mean + away, self.mean - away])

    def tell(self, fitness: Floats) -> None:
        """See Method.tell."""
        gradient = antithetic_gradient(self.noise, centred_ranks(fitness), self.sigma)
        self.steps = int(self.steps) + 1
        self.momentum = 0.9 * self.momentum + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * gradient**2
        momentum = self.momentum / (1 - 0.9**self.steps)
        square = self.square / (1 - 0.999**self.steps)
        self.mean = self.mean + self.rate * momentum / (np.sqrt(square) + 1e-8)

    @property
    def best(self) -> Floats:
        """The mean."""
        return self.mean


class SeparableCMA(Method):
    """Covariance matrix adaptation with a diagonal matrix (Ros and Hansen 2008, sep-CMA-ES).

    Constants are those of the paper; weights of equal members are shared among them. It reads
    ranks alone.

    Attributes:
        mean: [size] of the distribution.
        sigma: Its step size.
        variances: [size] the diagonal of its covariance matrix, apart from the step size.
        path: [size] the evolution path of the matrix; step_path, of the step size.
    """

    kept = ("mean", "sigma", "variances", "path", "step_path", "steps")

    def __init__(self, founders: Floats, settings: Settings) -> None:
        super().__init__(founders, settings)
        n, half = self.size, self.population // 2
        self.weights = np.zeros(self.population)
        self.weights[:half] = math.log(half + 1) - np.log(np.arange(1, half + 1))
        self.weights /= self.weights.sum()
        self.effective = 1 / float((self.weights**2).sum())
        mu = self.effective
        self.step_rate = (mu + 2) / (n + mu + 3)
        excess = max(0.0, math.sqrt((mu - 1) / (n + 1)) - 1)
        self.damping = 1 + 2 * excess + self.step_rate
        self.path_rate = 4 / (n + 4)
        full = 2 / (n + math.sqrt(2)) ** 2 / mu
        full += (1 - 1 / mu) * min(1.0, (2 * mu - 1) / ((n + 2) ** 2 + mu))
        self.matrix_rate = min(1.0, full * (n + 2) / 3)
        self.expected_norm = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2))
        self.mean: Floats = founders[0].copy()
        self.sigma: Any = float(settings["sigma"])
        self.variances = np.ones(n)
        self.path, self.step_path = np.zeros((2, n))
        self.steps: Any = 0

    def ask(self, generator: np.random.Generator) -> Floats:
        """See Method.ask."""
        self.noise = generator.normal(size=(self.population, self.size))
        found: Floats = self.mean + self.sigma * np.sqrt(self.variances) * self.noise
        return found

    def tell(self, fitness: Floats) -> None:
        """See Method.tell."""
        weights, mu = self._shares(fitness), self.effective
        spread = np.sqrt(self.variances)
        step = weights @ self.noise
        self.steps = int(self.steps) + 1
        self.mean = self.mean + self.sigma * spread * step
        rate = self.step_rate
        self.step_path = (1 - rate) * self.step_path + math.sqrt(rate * (2 - rate) * mu) * step
        norm = float(np.sqrt((self.step_path**2).sum()))
        usual = math.sqrt(1 - (1 - rate) ** (2 * self.steps)) * self.expected_norm
        moves = float(norm / usual < 1.4 + 2 / (self.size + 1))
        rate = self.path_rate
        self.path = (1 - rate) * self.path
        self.path += moves * math.sqrt(rate * (2 - rate) * mu) * spread * step
        rate = self.matrix_rate
        among = self.variances * (weights @ self.noise**2)
        self.variances = (1 - rate) * self.variances + rate / mu * self.path**2
        self.variances += rate * (1 - 1 / mu) * among
        grown = self.step_rate / self.damping * (norm / self.expected_norm - 1)
        self.sigma = float(self.sigma) * math.exp(grown)

    def _shares(self, fitness: Floats) -> Floats:
        """[P] the weight of each member, which equals share."""
        _, which, counts = np.unique(-fitness, return_inverse=True, return_counts=True)
        ends = np.cumsum(counts)
        summed = np.concatenate([[0.0], np.cumsum(self.weights)])
        shares: Floats = ((summed[ends] - summed[ends - counts]) / counts)[which]
        return shares

    @property
    def best(self) -> Floats:
        """The mean."""
        return self.mean

    @property
    def told(self) -> dict[str, float]:
        """The step size, and the greatest spread of a parameter over the least."""
        spread = np.sqrt(self.variances)
        return {"sigma": float(self.sigma), "axes": float(spread.max() / spread.min())}


class Genetic(Method):
    """Genetic algorithm of Such et al. 2017 (arXiv:1712.06567), without recombination.

    The fittest members are parents; elites among them live on as they are and are measured anew
    beside their children, each of which is a parent drawn evenly and changed by normal noise.
    """

    kept = ("members", "order", "parents")

    def __init__(self, founders: Floats, settings: Settings) -> None:
        super().__init__(founders, settings)
        self.sigma, self.elites = settings["sigma"], settings["elites"]
        self.breeding = settings["parents"]
        self.members = founders
        self.order: Ints = np.zeros(0, np.int64)
        self._begin()

    def _begin(self) -> None:
        """Nobody has a parent yet."""
        self._parents = np.zeros((64, self.population), np.int32)
        self._generations = 0
        self._founders: Ints = np.arange(self.population)
        self._mutations: Ints = np.zeros(self.population, np.int64)

    def _descend(self, parents: Ints) -> None:
        """Enter the parents [P] of a new generation."""
        if self._generations == len(self._parents):
            self._parents = np.concatenate([self._parents, np.zeros_like(self._parents)])
        self._parents[self._generations] = parents
        self._generations += 1
        self._founders = self._founders[parents]
        self._mutations = self._mutations[parents]
        self._mutations[self.elites :] += 1

    def ask(self, generator: np.random.Generator) -> Floats:
        """See Method.ask; elites come first."""
        if not len(self.order):
            return self.members
        children = self.population - self.elites
        drawn = self.order[generator.integers(self.breeding, size=children)]
        chosen = np.concatenate([self.order[: self.elites], drawn])
        self._descend(chosen)
        self.members = self.members[chosen]
        self.members[self.elites :] += self.sigma * generator.normal(size=(children, self.size))
        return self.members

    def tell(self, fitness: Floats) -> None:
        """See Method.tell; of equals the earlier one comes first, so an elite before its child."""
        self.order = np.argsort(-fitness, kind="stable")

    @property
    def best(self) -> Floats:
        """The champion."""
        best: Floats = self.members[self._champion]
        return best

    @property
    def _champion(self) -> int:
        return int(self.order[0]) if len(self.order) else 0

    @property
    def lineage(self) -> Lineage:
        """The champion's; what it holds is only ever added to."""
        return Lineage(self._parents[: self._generations], self.elites, self._champion)

    @property
    def told(self) -> dict[str, float]:
        """Mutations from the champion's founder to it, and founders that have descendants."""
        living = float(len(np.unique(self._founders)))
        return {"mutations": float(self._mutations[self._champion]), "founders": living}

    def arrays(self) -> dict[str, Any]:
        """See Method.arrays."""
        kept = {"members": self.members.copy(), "order": self.order.copy()}
        return {**kept, "parents": self.lineage.parents.copy()}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """See Method.restore."""
        members, order, parents = (np.asarray(arrays[name]) for name in self.kept)
        sound = members.shape == self.members.shape and order.shape in ((self.population,), (0,))
        if not sound or parents.ndim != 2 or parents.shape[1] != self.population:
            raise ValueError("members, order or parents of another population")
        self.members, self.order = members.copy(), order.copy()
        self._begin()
        for row in parents:
            self._descend(row)


class RandomSearch(Method):
    """Augmented random search of Mania et al. 2018 (arXiv:1803.07055), V1-t.

    Mirrored pairs, of which those whose better half is best are used, and a step scaled by the
    standard deviation of what these were paid. Observations are not normalised (V2 does).
    """

    kept = ("mean",)

    def __init__(self, founders: Floats, settings: Settings) -> None:
        super().__init__(founders, settings)
        self.sigma, self.rate = settings["sigma"], settings["learning_rate"]
        self.directions = settings["directions"]
        self.mean: Floats = founders[0].copy()

    def ask(self, generator: np.random.Generator) -> Floats:
        """See Method.ask; [:P / 2] stand opposite to [P / 2:]."""
        self.noise = generator.normal(size=(self.population // 2, self.size))
        away = self.sigma * self.noise
        return np.concatenate([self.mean + away, self.mean - away])

    def tell(self, fitness: Floats) -> None:
        """See Method.tell."""
        pairs = fitness.reshape(2, -1)
        used = np.argsort(-pairs.max(axis=0), kind="stable")[: self.directions]
        spread = float(pairs[:, used].std())
        if spread > 0:
            step = (pairs[0, used] - pairs[1, used]) @ self.noise[used]
            self.mean = self.mean + self.rate / (self.directions * spread) * step

    @property
    def best(self) -> Floats:
        """The mean."""
        return self.mean


METHODS: Mapping[str, type[Method]] = {
    "es": OpenAIES,
    "cma": SeparableCMA,
    "ga": Genetic,
    "ars": RandomSearch,
}
