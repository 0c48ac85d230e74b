"""One agent at a time: train it and keep it, or measure one that was kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from powerseek.agents import TrainedAgent, load_agent, read_card, task_of
from powerseek.agents.foreign.files import is_foreign, load_foreign
from powerseek.agents.foreign.illegal import ILLEGAL, WASTE, acting, illegal_fraction
from powerseek.agents.foreign.policies import policy_of
from powerseek.agents.settings import ACTING, SEARCHED, complete
from powerseek.envs.rewards.spec import Spec
from powerseek.envs.task import Task
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact.overseer import with_overseer
from powerseek.experiments import layout
from powerseek.experiments.report.agent_result import AgentResult, page_folder
from powerseek.experiments.results.remote import store_at
from powerseek.experiments.results.schema import OF_REWARD
from powerseek.experiments.results.store import COLUMNS, trial_columns
from powerseek.experiments.study.checked import cells
from powerseek.experiments.study.factors import factor_of, levels_of, written_level
from powerseek.experiments.study.grid import Cell, Trial, without_reward_warnings
from powerseek.experiments.study.lint import study_cautions
from powerseek.experiments.study.lookahead import lookahead_of
from powerseek.experiments.study.schema import make_study
from powerseek.experiments.sweep.evaluate import Evaluator
from powerseek.experiments.sweep.oracles import optimum_of, oracle_of
from powerseek.experiments.sweep.recording import record_episodes
from powerseek.experiments.sweep.trial import judged, run_trial, trial_of_card
from powerseek.limits import check_limit
from powerseek.registry import make_world, worlds
from powerseek.types import Policy

_ILLEGAL, _REPLAY = 0x696C6C, 0x7265706C
"""Purposes of chance, apart from those of evaluations."""


def train_one(
    given: Mapping[str, Any], seed: int, out: str | Path | None
) -> tuple[pd.DataFrame, str | None, tuple[str, ...]]:
    """Train the one cell of a study.

    Args:
        given: The study, as its file would hold it.
        seed: Training seed.
        out: Where model and measures go, as for a sweep; by default ``runs/train/<identity>``.

    Returns:
        Its rows, where its model lies (None for an agent without one) and what should be said
        beside it.

    Raises:
        InvalidInput: Bad input; nothing is written.
    """
    check_limit("seed", seed)
    study = make_study(given)
    trial = Trial(_only_one(cells(study)), seed, study.name)
    store = store_at(out or Path("runs") / "train" / trial.key)
    store.fetch()
    with store.naming():
        held = store.out.exists() and (not store.out.is_dir() or any(store.out.iterdir()))
        if out is not None and held:
            raise InvalidInput("--out", store.told(str(store.out)), "an empty or absent directory")
        rows = run_trial(trial, store.out)
        store.write(trial, rows)
    model = store.out / layout.MODELS / f"{trial.key}.zip"
    return rows, store.shown(model) if model.is_file() else None, study_cautions(study)


def _only_one(grid: Sequence[Cell]) -> Cell:
    """The one cell of a study; refused where it has levels of something."""
    first = grid[0]
    for other in grid[1:]:
        ours, theirs = levels_of(first), levels_of(other)
        column = next(name for name in ours if ours[name] != theirs.get(name))
        factor = factor_of(column)
        owner = {"world": "worlds[0].params.", "agent": f"settings.{first.agent}."}
        field = f"{owner.get(factor.of, '')}{factor.name}"
        both = f"{written_level(ours[column])} and {written_level(theirs.get(column))}"
        hint = "A study compares several: powerseek sweep."
        raise InvalidInput(field, both, "one value: one agent is trained", hint)
    return first


@dataclass(frozen=True, eq=False)
class Evaluation(AgentResult):
    """An agent, and all that was measured of it.

    Attributes:
        task: What it acted in.
        policy: The agent, as it acted.
    """

    task: Task = field(repr=False)
    policy: Policy = field(repr=False)

    def write_report(self, folder: str | Path) -> Path:
        """Write one page about the agent, ``report.html``, which needs nothing else.

        Args:
            folder: Where to: absent, empty, or with an earlier page, which is replaced.

        Returns:
            The path of the page.

        Raises:
            InvalidInput: The folder holds something else, or is none.
            StoreError: It cannot be written.
        """
        from powerseek.experiments.report.one_agent import write_agent_page

        target = page_folder(folder)
        (seed,) = np.random.SeedSequence([self.seed, _REPLAY]).generate_state(1)
        exactly = self.exact and self.learnt
        recording = record_episodes(self.policy, self.task, int(seed), exactly=exactly)
        return write_agent_page(self, recording, target)


def evaluate_policy(
    policy: Any,
    world: World | str,
    reward: Spec | None = None,
    *,
    gamma: float = 1.0,
    power_weight: float = 0.0,
    time_limit: str = "terminal",
    windows: tuple[int, ...] = (),
    acquired_so_far: bool = False,
    illegal: str | None = None,
    episodes: int = 1000,
    seed: int = 0,
    name: str = "",
) -> Evaluation:
    """Measure whatever can act in a world, exactly where the world can be enumerated.

    Args:
        policy: A function of observations, or of observations and masks, that gives actions or
            probabilities; a PyTorch module from observations to logits; a trained model of
            Stable-Baselines3 or sb3-contrib; a policy of powerseek
            (`powerseek.agents.foreign.policies.policy_of`).
        world: The world, or its id.
        reward: What it was trained for, as in a study; without it nothing is said of W, of the
            reward's optimum, and of what is measured against it.
        gamma: Discount that it was trained with.
        power_weight: Weight of power itself in its reward.
        time_limit: ``terminal`` or ``bootstrap``, as it was trained.
        windows: The k of further accumulators that it observes (`Task.windows`).
        acquired_so_far: Whether it observes the units acquired.
        illegal: What its illegal choices become: ``waste`` a step, as in the environment, or
            ``renormalise`` over legal actions. By default a model of Stable-Baselines3 wastes
            steps, as it did in training; functions and networks are renormalised.
        episodes: Episodes of each sampled evaluation.
        seed: Of the evaluation, and of the labels of a reward that is learnt.
        name: What it is called; by default the function's or class's name.

    Raises:
        InvalidInput: It does not fit the world, or does not act.
    """
    check_limit("episodes", episodes)
    check_limit("seed", seed)
    name = name or getattr(policy, "__name__", type(policy).__name__)
    with without_reward_warnings():
        task = Task(
            make_world(world) if isinstance(world, str) else world,
            "dense" if reward is None else reward,
            gamma,
            time_limit,
            power_weight,
            windows,
            acquired_so_far=acquired_so_far,
        )
        given = policy_of(policy, task, name)
        trial = Trial(_cell(task, name, episodes), seed)
        return _measured(given, task, trial, reward is not None, illegal=illegal)


def evaluate_one(
    model: str | Path,
    world: str,
    params: Mapping[str, Any],
    episodes: int,
    seed: int,
    trained: Mapping[str, Any] = MappingProxyType({}),
    illegal: str | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> Evaluation:
    """Measure a model in a world, beside what it was trained for.

    Args:
        model: What `train_one` or a sweep kept, or what was made elsewhere
            (`powerseek.agents.foreign.files.load_foreign`).
        world: World id.
        params: The world's parameters; of a model kept here, in the world it was trained in, the
            rest are those of training, else the world's own.
        episodes: Episodes of each evaluation.
        seed: Of the evaluation.
        trained: ``reward``, ``gamma`` and ``power_weight`` of a model made elsewhere, as far as
            they are known; a model kept here says so itself.
        illegal: As in `evaluate_policy`.
        settings: How a model kept here plays: ``acting``, simulations of a search over the world's
            rules in each situation, 0 for its network alone.

    Raises:
        InvalidInput: Not a model, one that does not fit the world, or cannot play so.
    """
    check_limit("episodes", episodes)
    check_limit("seed", seed)
    world = worlds.resolve(world)
    with without_reward_warnings():
        if is_foreign(model):
            for name, value in settings.items():
                allowed = "no setting of a model made elsewhere: how it plays is its own"
                raise InvalidInput(f"settings.{name}", value, allowed, "Leave it out.")
            made = make_world(world, **params)
            task = Task(made, **{"reward": "dense", **trained})
            policy = load_foreign(model, task)
            trial = Trial(_cell(task, _short(model), episodes), seed)
            return _measured(policy, task, trial, "reward" in trained, illegal=illegal)
        card = _card(model)
        for name, value in trained.items():
            allowed = "no value: the model's card says what it was trained for"
            raise InvalidInput(f"--{name.replace('_', '-')}", value, allowed, "Leave it out.")
        known = card["params"] if card["world"] == world else {}
        task = task_of(card, make_world(world, **{**known, **params}))
        kept = load_agent(model, task)
        policy, name = kept.policy, _short(model)
        if settings:
            policy, card = _playing(kept, card, task, settings)
            name = f"{name} {ACTING} {settings[ACTING]}"
        trial = trial_of_card(card, task, seed, episodes)
        done = {"timesteps": kept.timesteps, "updates": kept.updates}
        return _measured(policy, task, trial, True, done, name, illegal)


def _playing(
    kept: TrainedAgent, card: dict[str, Any], task: Task, settings: Mapping[str, Any]
) -> tuple[Policy, dict[str, Any]]:
    """A kept agent that plays otherwise than it did, and the card of such a one."""
    from powerseek.agents.search.play import with_search

    simulations = complete({ACTING: 0}, settings)[ACTING]
    own = {name: card["settings"][name] for name in SEARCHED if name in card["settings"]}
    policy = with_search(kept.policy, task, simulations, **own)
    if ACTING not in card["settings"]:  # of an agent that is not asked how it plays
        return policy, card
    return policy, {**card, "settings": {**card["settings"], ACTING: simulations}}


def _card(model: str | Path) -> dict[str, Any]:
    try:
        return read_card(model)
    except InvalidInput as error:
        allowed = (
            "a model that powerseek, Stable-Baselines3 or torch.save wrote, or file.py:NAME with a "
            "function or network of yours"
        )
        raise InvalidInput(error.field, error.value, allowed, error.hint) from None


def _short(model: str | Path) -> str:
    return Path(model).name


def _cell(task: Task, agent: str, episodes: int) -> Cell:
    """The cell of an agent that was made elsewhere."""
    world = task.world
    return Cell(
        world=world.id,
        version=world.version,
        params=world.params._asdict(),
        reward=task.reward,
        agent=agent,
        timesteps=0,
        power_weight=task.power_weight,
        gamma=task.gamma,
        time_limit=task.time_limit,
        lookahead=lookahead_of(task),
        windows=task.windows,
        acquired_so_far=task.acquired_so_far,
        episodes=episodes,
    )


def _measured(
    given: Policy,
    task: Task,
    trial: Trial,
    rewarded: bool,
    done: Mapping[str, int] = MappingProxyType({"timesteps": 0, "updates": 0}),
    name: str = "",
    illegal: str | None = None,
) -> Evaluation:
    """Measure a policy that fits its task."""
    cell, seed, task = trial.cell, trial.seed, with_overseer(task, seed=trial.seed)
    policy = acting(given, illegal)
    facts = oracle_of(cell, None)
    optimum = optimum_of(cell, None) if rewarded else None
    about = {**trial_columns(trial), **done, "checkpoint": "end", "status": "ok"}
    rows = Evaluator(task, facts, optimum, seed).rows(policy, cell.episodes, about=about)
    if not rewarded:
        rows = [row for row in rows if row["metric"] not in OF_REWARD]
    (chance,) = np.random.SeedSequence([seed, _ILLEGAL]).generate_state(1)
    chosen = getattr(given, "illegal", WASTE) if illegal is None else illegal
    return Evaluation(
        rows=pd.DataFrame(judged(rows, cell), columns=list(COLUMNS)),
        name=name or cell.agent,
        world=task.world,
        reward=_reward_words(cell) if rewarded else "",
        illegal=ILLEGAL[chosen],
        illegal_fraction=illegal_fraction(given, task, cell.episodes, int(chance), chosen),
        episodes=cell.episodes,
        seed=seed,
        task=task,
        policy=policy,
    )


def _reward_words(cell: Cell) -> str:
    weight = f", w {cell.power_weight:g}" if cell.power_weight else ""
    return f"{cell.reward_label}, gamma {cell.gamma:g}{weight}"
