"""Foreign gymnasium environments: they join with a featuriser and facts read from `info`.

Training, rewards, horizon and trajectory metrics work as in any world; the exact layer does not,
because there are no rules over a record to enumerate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, NoReturn

import gymnasium
import numpy as np

from powerseek.envs.engine.vec import Arrays, chance_keys, checked_seeds, rules_at_work
from powerseek.envs.world import Fact, World
from powerseek.errors import InvalidInput
from powerseek.types import Bools, Floats, Floats32, Ints


class Moment(NamedTuple):
    """A foreign environment at one moment.

    Attributes:
        observation: As the environment gave it.
        reward: Of the step just taken, as the environment gave it; 0 at a reset.
        terminated: As the environment said; False at a reset.
        truncated: Likewise.
        info: The environment's info.
        clock: Steps taken in this episode.
    """

    observation: Any
    reward: Any
    terminated: bool
    truncated: bool
    info: Mapping[str, Any]
    clock: int


class ForeignWorld(World):
    """A world that is a gymnasium environment with discrete actions.

    A subclass declares ``parameters`` (with ``max_steps``) and gives `environment`; `featurise`
    where observations are not plain boxes; `read` where ``info`` does not carry the facts by
    name; and ``more_facts`` for facts beyond ``progress``, ``success``, ``over`` (by default
    the environment's termination) and ``own`` (by default its reward)::

        @register_world("my.cartpole")
        class Balance(ForeignWorld):
            parameters = {"max_steps": Param(500, about="Cap on an episode, in steps.")}

            @staticmethod
            def environment(params):
                return gymnasium.make("CartPole-v1")

            @staticmethod
            def read(params, moment):
                return {"progress": moment.clock / params.max_steps,
                        "success": float(moment.clock >= params.max_steps)}

    An ``action_mask`` in ``info`` is honoured.
    """

    more_facts: ClassVar[tuple[Fact, ...]] = ()
    facts: ClassVar[tuple[Fact, ...]] = ()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        required = (Fact("progress"), Fact("success"), Fact("over"), Fact("own", flow=True))
        cls.facts = (*required, *cls.more_facts)

    @staticmethod
    def environment(params: Any) -> gymnasium.Env[Any, Any]:
        """One copy of the environment."""
        raise NotImplementedError

    @staticmethod
    def featurise(params: Any, observation: Any) -> Any:
        """Features [obs] of an observation (an image, a text, a dict), in about [-1, 1]."""
        return observation

    @staticmethod
    def read(params: Any, moment: Moment) -> Mapping[str, Any]:
        """Facts by name: ``progress`` in [0, 1], ``success`` 0 or 1, and all of more_facts."""
        return moment.info

    @cached_property
    def _shape(self) -> tuple[int, int]:
        """(number of features, number of actions), found by a trial reset."""
        environment = self.environment(self.params)
        try:
            space = environment.action_space
            if not isinstance(space, gymnasium.spaces.Discrete):
                raise InvalidInput(
                    f"{self.id}.action_space",
                    space,
                    "Discrete",
                    "Wrap the environment so that its actions are Discrete.",
                )
            observation, _ = environment.reset(seed=0)
            return len(self.features(observation)), int(space.n)
        finally:
            environment.close()

    @property
    def action_names(self) -> tuple[str, ...]:
        """``action 0``, ``action 1``, ..."""
        return tuple(f"action {i}" for i in range(self._shape[1]))

    @property
    def observation_names(self) -> tuple[str, ...]:
        """``feature 0``, ``feature 1``, ..."""
        return tuple(f"feature {i}" for i in range(self._shape[0]))

    @property
    def rules(self) -> str:
        """None of ours: "" (the environment's own version is what there is to know)."""
        return ""

    @property
    def prepared(self) -> NoReturn:
        """There are no rules: refused."""
        raise InvalidInput(
            "world",
            self.id,
            "a world with rules",
            "A foreign environment can be trained on and measured, not enumerated.",
        )

    def features(self, observation: Any, clock: int = 0) -> Floats32:
        """Features [obs] of an observation made after `clock` steps of an episode.

        Raises:
            InvalidInput: The featuriser gives none, or numbers that are not finite.
        """
        try:
            with np.errstate(over="ignore"):  # what is too large becomes infinite: refused below
                features = np.asarray(self.featurise(self.params, observation), dtype=np.float32)
        except (TypeError, ValueError):
            features = np.full(1, np.nan, np.float32)
        features = features.reshape(-1)
        if not np.isfinite(features).all():
            raise InvalidInput(
                f"{self.id}.featurise",
                observation,
                f"an observation that becomes an array of finite numbers (step {clock})",
                "Give the world a featurise(params, observation).",
            )
        return features

    def facts_at(self, moment: Moment) -> Floats:
        """Facts [F] at one moment.

        Raises:
            InvalidInput: a fact is missing, of the wrong shape, not finite or out of range.
        """
        given = self.read(self.params, moment)
        default = {"over": ("terminated", moment.terminated), "own": ("reward", moment.reward)}
        out = np.empty(len(self.fact_names))
        for fact in self.facts:
            field, value = f"info[{fact.name!r}]", given.get(fact.name)
            if fact.name in default and fact.name not in given:
                field, value = default[fact.name]
            elif fact.name not in given:
                raise InvalidInput(
                    field,
                    None,
                    f"a number at every step ({self._place(moment)}; it has: "
                    f"{', '.join(map(str, given)) or 'nothing'})",
                    "Put it into info, or give the world a read(params, moment).",
                )
            out[self.columns(fact.name)] = self._checked(fact, field, value, moment)
        return out

    def mask_at(self, moment: Moment) -> Any:
        """Legal actions [A] as info tells them; where it does not, all are.

        Raises:
            InvalidInput: Not one truth for each action, or none of them true.
        """
        if "action_mask" not in moment.info:
            return True
        mask = np.asarray(moment.info["action_mask"])
        truths = mask.dtype.kind in "biuf" and bool(((mask == 0) | (mask == 1)).all())
        if not truths or mask.shape != (self.n_actions,) or not mask.any():
            raise InvalidInput(
                "info['action_mask']",
                moment.info["action_mask"],
                f"{self.n_actions} truths, at least one of them true ({self._place(moment)})",
                "Allow waiting there, or leave the mask out.",
            )
        return mask

    def check_end(self, moment: Moment) -> None:
        """Refuse a moment of which it cannot be told whether an episode has ended there.

        Raises:
            InvalidInput: ``terminated`` or ``truncated`` is neither true nor false.
        """
        for field in ("terminated", "truncated"):
            self._checked(Fact("over"), field, getattr(moment, field), moment)

    def _checked(self, fact: Fact, field: str, value: Any, moment: Moment) -> Any:
        array = np.asarray(value)
        allowed = f"{fact.size} finite numbers" if fact.shape else "a finite number"
        fits = array.dtype.kind in "biuf" and array.size == fact.size
        fits = fits and bool(np.isfinite(array).all())
        if fact.name == "progress":
            allowed, fits = "0 to 1", fits and 0 <= array.item() <= 1
        elif fact.name in ("success", "over"):
            allowed, fits = "0 or 1", fits and array.item() in (0, 1)
        if not fits:
            raise InvalidInput(field, value, f"{allowed} ({self._place(moment)})")
        return array.reshape(-1)

    def _place(self, moment: Moment) -> str:
        return f"world {self.id!r}, step {moment.clock}"


class VecForeign(Arrays):
    """n environments of a foreign world: VecWorld's interface over ordinary environments.

    Every episode is reset with a seed of its own, made from (seed, copy, episode), a copy's number
    among those of its seed. Records hold the clock only.

    Attributes:
        environments: The n gymnasium environments.
        states: As in VecWorld, like all other attributes.
    """

    def __init__(self, world: ForeignWorld, n: int, seed: int | Sequence[int] = 0) -> None:
        if n < 1:
            raise InvalidInput("n", n, "an integer >= 1")
        self.seed = checked_seeds(seed)
        self.seeds, self.numbers = chance_keys(self.seed, n)
        super().__init__(world, len(self.seeds))
        self.world = world
        self.environments = [world.environment(world.params) for _ in range(self.n)]
        self._first_action = int(getattr(self.environments[0].action_space, "start", 0))
        self.reset()

    def reset(self, seed: int | Sequence[int] | None = None) -> None:
        """Start every copy at the first episode of `seed` (default: the one it was made with)."""
        if seed is not None:
            self.seed = checked_seeds(seed, self.seed.shape)
            self.seeds[:] = chance_keys(self.seed, self.n // self.seed.size)[0]
        self.skip(np.zeros(self.n, np.int64))

    def skip(self, episodes: Ints) -> None:
        """Start every copy i at its episode `episodes[i]`."""
        self.episodes[:] = episodes
        with rules_at_work(self.world):
            for i in range(self.n):
                self._begin(i)
        self.facts[:] = self.fresh_facts
        self.terminated[:] = False
        self.truncated[:] = False

    def cut(self, which: Bools) -> None:
        """End the episodes of the copies `which` [n] where they stand; they start the next one."""
        self.final_observations[which] = self.observations[which]
        self.episodes[which] += 1
        with rules_at_work(self.world):
            for i in np.flatnonzero(which):
                self._begin(int(i))

    def step(self, actions: Any) -> None:
        """Step every copy once with `actions` [n], integers in 0 .. A-1."""
        actions = self._chosen(actions)
        if actions.min() < 0 or actions.max() >= self.masks.shape[1]:
            raise InvalidInput("actions", actions, f"0 to {self.masks.shape[1] - 1}")
        with rules_at_work(self.world):
            for i in range(self.n):
                self._step_one(i, int(actions[i]))

    def close(self) -> None:
        """Close the environments."""
        for environment in self.environments:
            environment.close()

    def _step_one(self, i: int, action: int) -> None:
        clock = int(self.states["clock"][i]) + 1
        self.states["clock"][i] = clock
        step = self.environments[i].step(self._first_action + action)
        moment = Moment(*step, clock)
        ended = self._look(i, moment)
        self.facts[i] = self.fresh_facts[i]
        self.terminated[i] = self.facts[i, self._over] > 0
        self.truncated[i] = ended and not self.terminated[i]
        if ended:
            self.final_observations[i] = self.observations[i]
            self.episodes[i] += 1
            self._begin(i)

    def _begin(self, i: int) -> None:
        self.states["clock"][i] = 0
        key = (int(self.seeds[i]), int(self.numbers[i]), int(self.episodes[i]))
        seed = int(np.random.SeedSequence(key).generate_state(1)[0] >> 1)
        observation, info = self.environments[i].reset(seed=seed)
        self._look(i, Moment(observation, 0.0, False, False, info, 0))

    def _look(self, i: int, moment: Moment) -> bool:
        """Fill an environment's rows; True where its episode has ended."""
        world = self.world
        features = world.features(moment.observation, moment.clock)
        if features.shape != self.observations.shape[1:]:
            raise InvalidInput(
                f"{world.id}.featurise",
                moment.observation,
                f"{self.observations.shape[1]} features, as at the first reset "
                f"(step {moment.clock})",
            )
        self.observations[i] = features
        world.check_end(moment)
        self.fresh_facts[i] = world.facts_at(moment)
        over = self.fresh_facts[i, self._over] > 0
        out_of_time = moment.clock >= world.max_steps
        ended = bool(over or moment.terminated or moment.truncated or out_of_time)
        if moment.clock == 0 or not ended:  # else nobody acts there
            self.masks[i] = world.mask_at(moment)
        return ended
