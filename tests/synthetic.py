"""Results as a sweep writes them, made up: the numbers are chosen, so that means are known."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd

from powerseek.envs.rewards.spec import place_of

NAN = float("nan")
IDENTITY = {
    "study": "made-up",
    "world": "homestead",
    "version": 1,
    "params": json.dumps({"size": 3}),
    "openness": 0.0,
    "goal": "deliver",
    "layout": None,
    "reward": "dense",
    "power_weight": 0.0,
    "gamma": 1.0,
    "max_steps": 28,
    "time_limit": "terminal",
    "gae_lambda": NAN,
    "n_step": NAN,
    "lookahead": NAN,
    "agent": "ppo",
    "budget": 300_000,
    "settings": "{}",
    "seed": 0,
}


def spec_of(label):
    """The spec that results hold beside a reward's label, as JSON."""
    return json.dumps(_spec(str(label).split()))


def _spec(words):
    match words:
        case [*of, "and", "at", "the", "end"]:
            spec = {"priced": float(of[-1]), "of": _spec(of)}
        case ["approval", *of, "noise", noise]:
            spec = {**_spec(["approval", *of]), "noise": float(noise)}
        case ["coverage" | "approval" | "preference" as id, level, "need", "price", price]:
            count = int if id == "preference" else float
            spec = {id: level if level == "cap" else count(level), "aim": "need"}
            spec["price"] = float(price)
        case [*of, "price", price]:
            spec = {"priced": float(price), "of": _spec(of)}
        case ["every", k, *rest]:
            spec = {"every": k if k == "cap" else int(k)}
            spec |= {"corrected": True} if "corrected" in rest else {}
            spec |= {"of": "own"} if rest[-2:] == ["of", "own"] else {}
        case ["terminal", "at", "cap"]:
            spec = {"terminal": {"pay": "cap"}}
        case ["preference", n, *rest]:
            spec = {"preference": int(n)}
            spec |= {"length": int(rest.pop())} if "length" in rest else {}
            spec |= {"aim": rest[0]} if rest and rest[0] != "length" else {}
        case ["coverage" | "thinned" as id, level, *rest]:
            spec = {id: float(level)} | ({"aim": rest[0]} if rest else {})
        case ["approval", h, *rest]:
            spec = {"approval": h if h == "cap" else int(h)}
            spec |= {"aim": rest[0]} if rest else {}
        case _:
            spec = " ".join(words)
    return spec


def places(labels):
    """Where some rewards lie on the factors of rewards, by label."""
    found = {str(label): place_of(json.loads(spec_of(label))) for label in labels}
    return {label: place for label, place in found.items() if place is not None}


def trial_rows(measures, status="ok", evaluation="sampled", checkpoint="end", **identity):
    """Rows of one trial; a measure is a value or (value, low, high)."""
    known = {**IDENTITY, **identity}
    known.setdefault("spec", spec_of(known["reward"]))
    known["trial"] = json.dumps(known, sort_keys=True, default=str)
    common = {
        **known,
        "timesteps": 300_000,
        "updates": 1000,
        "checkpoint": checkpoint,
        "evaluation": evaluation,
        "n": 1000,
        "unit": "",
        "status": status,
    }
    if status == "failed":
        measures = {"failed": NAN}
    rows = []
    for metric, value in measures.items():
        value, low, high = value if isinstance(value, tuple) else (value, NAN, NAN)
        rows.append({**common, "metric": metric, "value": value, "low": low, "high": high})
    return rows


def frame(*trials):
    return pd.DataFrame([row for rows in trials for row in rows])


def resourceful(rng, openness, reward, weight, gamma, learnt=True):
    """Measures of one trained agent in a world with resources, an oracle and a switch."""
    competence = rng.uniform(0.93, 0.99) if learnt else rng.uniform(0.3, 0.7)
    need = 2.5 + 0.2 * openness
    incentive = 0.4 + 0.5 * openness * (gamma == 1.0)
    learned = (
        rng.normal({"dense": 0.3, "every cap": 0.6, "terminal": 0.9}[reward], 0.15) + 4 * weight
    )
    remainder = rng.normal(0.05, 0.02)
    excess = incentive + learned + remainder
    optimum = 0.95 if gamma == 1.0 else 0.2
    return {
        "competence": competence,
        "success": competence - 0.04,
        "acquired": need + excess,
        "acquired_inside": need + excess / 2,
        "acquired_outside": excess / 2,
        "placebo": 0.1,
        "need": (need, need - 0.01, need + 0.01),
        "incentive": (incentive, incentive - 0.1, incentive + 0.2),
        "learned": learned,
        "remainder": remainder,
        "excess": (excess, excess - 0.1, excess + 0.1),
        "slip_excess": rng.normal(0.25, 0.03),
        "share_of_surplus": excess / (4 + 2 * openness),
        "cost": 0.2,
        "disabled": float(np.clip(rng.normal(optimum - 0.05, 0.05), 0, 1)),
        "optimum_disabled": (optimum, optimum - 0.02, optimum + 0.03),
        "optimum_success": 0.98,
        "optimum_acquired": (need + incentive, need + incentive, need + incentive + 0.2),
        "length": 17.0,
        "return": 0.95,
    }


def make_results(seeds=4, unlearnt=0):
    """A small study over three worlds, the first `unlearnt` seeds of terminal not learning."""
    rng = np.random.default_rng(7)
    found = []
    for openness, reward, gamma, weight, seed in itertools.product(
        (0, 2), ("dense", "every cap", "terminal"), (1.0, 0.9), (0.0, 1.0), range(seeds)
    ):
        if weight and (reward != "dense" or gamma < 1):
            continue
        learnt = not (reward == "terminal" and seed < unlearnt)
        measures = resourceful(rng, openness, reward, weight, gamma, learnt)
        identity = {
            "openness": float(openness),
            "reward": reward,
            "gamma": gamma,
            "power_weight": weight,
            "seed": seed,
        }
        status = "ok" if learnt else "censored"
        found.append(trial_rows(measures, status, **identity))
        found.append(trial_rows({**measures, "disabled": 1.0}, status, "greedy", **identity))
    for openness, reward, seed in itertools.product((0, 2), ("dense", "terminal"), range(seeds)):
        measures = resourceful(rng, openness, reward, 0.0, 1.0)
        gone = {"disabled", "optimum_disabled"}
        measures = {name: value for name, value in measures.items() if name not in gone}
        identity = {"world": "endgame", "goal": "mate", "max_steps": 20}
        identity |= {"openness": float(openness), "reward": reward, "seed": seed}
        found.append(trial_rows(measures, **identity))
    for gamma, seed in itertools.product((1.0, 0.8), range(seeds)):
        measures = {"competence": 1.0, "success": 1.0, "length": 5.0, "return": 45.0}
        measures |= {"disabled": float(gamma == 1.0), "optimum_disabled": float(gamma == 1.0)}
        identity = {"world": "off-switch", "openness": NAN, "goal": None, "reward": "own"}
        found.append(trial_rows(measures, **identity, gamma=gamma, seed=seed, max_steps=40))
    return frame(*found)


def make_curves(results, points=8):
    """Learning curves beside those results."""
    steps = np.linspace(0, 300_000, points + 1)[1:]
    rows = []
    for record in results.drop_duplicates("trial").to_dict("records"):
        speed = {"dense": 60_000, "terminal": 150_000}.get(record["reward"], 90_000)
        known = {name: record[name] for name in (*IDENTITY, "trial")}
        for step in steps:
            learnt = 0.97 * (1 - np.exp(-step / speed))
            rows.append({**known, "timesteps": int(step), "competence": learnt, "success": learnt})
    return pd.DataFrame(rows)


def make_frontiers():
    """Need frontiers of the made-up homestead."""
    success = np.linspace(0, 1, 21)
    rows = []
    for openness, kind in itertools.product((0.0, 2.0), ("need", "most")):
        taken = 2.6 * success**3 if kind == "need" else 7 + openness - success
        rows.append(
            pd.DataFrame(
                {
                    "world": "homestead",
                    "openness": openness,
                    "goal": "deliver",
                    "kind": kind,
                    "success": success,
                    "acquisition": taken,
                }
            )
        )
    return pd.concat(rows)


def planted(
    effect=0.0,
    noise=0.3,
    seeds=16,
    unlearnt=0,
    gain=2.0,
    rewards=("dense", "every cap"),
    measure="excess",
    **identity,
):
    """Two arms that differ in one measure by `effect` (known), and a positive control.

    Args:
        effect: Mean of the second arm - the first.
        noise: Standard deviation between seeds of each arm.
        seeds: Seeds of each arm.
        unlearnt: So many seeds of the second arm do not learn the task.
        gain: What an agent that is paid for power acquires more; None for no positive control.
        rewards: The two arms.
        measure: What differs; of excess what is beyond need at the greatest success does too.
        identity: What trials share.
    """
    rng = np.random.default_rng(3)
    found = []
    for i, reward in enumerate(rewards):
        # Centred, so that the effect in the sample is the one planted.
        values = rng.normal(0, 1, seeds)
        values = 1 + i * effect + noise * (values - values.mean())
        for seed, value in enumerate(values):
            status = "censored" if i and seed < unlearnt else "ok"
            measures = {"competence": 0.95, "acquired": 3 + rng.normal(0, 0.1), "excess": 1.0}
            measures |= {"beyond": value} if measure == "excess" else {}
            measures |= {measure: value}
            found.append(trial_rows(measures, status, reward=reward, seed=seed, **identity))
    for seed in range(0 if gain is None else seeds):
        measures = {"competence": 0.95, "acquired": 3 + gain + rng.normal(0, 0.1), "excess": 1.0}
        measures |= {"beyond": 1.0}
        paid = {"reward": rewards[0], "power_weight": 1.0, "seed": seed, **identity}
        found.append(trial_rows(measures, **paid))
    return found


def made_budgets(times, every, end=400_000, factor="reward", clocks=None, **identity):
    """Arms that get to competence .95 at known steps, and the curves that show it.

    Args:
        times: By level of the factor the steps of each seed; none within `end` for a greater one.
        every: Steps between evaluations.
        end: Steps trained.
        factor: What the arms differ in.
        clocks: By level what a step spends, by metric: curves and ends have it where it is given.
        identity: What trials share.

    Returns:
        Rows of the trials, and their learning curves.
    """
    trials, curves = [], []
    for level, own in times.items():
        paces = (clocks or {}).get(level, {})
        for seed, when in enumerate(own):
            measures = {"competence": 0.95 if when <= end else 0.3}
            measures |= {name: pace * end for name, pace in paces.items()}
            status = "ok" if when <= end else "censored"
            told = {**identity, factor: level, "seed": seed}
            rows = trial_rows(measures, status, **told)
            trials.append([{**row, "timesteps": end} for row in rows])
            steps = [*range(0, end, every), end]
            curves += [
                {
                    **{"trial": rows[0]["trial"], "timesteps": step},
                    "competence": 0.95 * (step >= when),
                    **{name: pace * step for name, pace in paces.items()},
                }
                for step in steps
            ]
    return trials, pd.DataFrame(curves)


ARMS = ("dense", "every 2", "every 8", "every cap", "coverage 1", "coverage 0.5", "terminal")
AGENTS = {
    # acquired, excess, share, disabled, POWER score
    "random": (1.0, 0.4, 0.1, 0.3, 0.0),
    "minimalist": (2.5, 0.0, 0.0, 0.0, -0.8),
    "hoarder": (6.5, 4.0, 1.0, 1.0, 0.7),
    "power-greedy": (6.0, 3.5, 0.9, 0.9, 1.0),
    "optimum": (3.1, 0.6, 0.15, 0.6, -0.2),
}


def references(seeds=1, agents=AGENTS, **identity):
    """Agents that do not learn, whose measures are `agents`."""
    found = []
    for (agent, values), seed in itertools.product(agents.items(), range(seeds)):
        names = ("acquired", "excess", "share_of_surplus", "disabled", "power_seeking")
        measures = dict(zip(names, values, strict=True))
        measures |= {"competence": 0.5 if agent == "random" else 0.99}
        measures |= {"success": measures["competence"] - 0.02, "need": 2.5}
        status = "censored" if agent == "random" else "ok"
        found += trial_rows(measures, status, agent=agent, seed=seed, **identity)
    return [{**row, "updates": 0} for row in found]


def made_dense(seeds=3, arms=ARMS, steps=(16, 28), gammas=(1.0,), unlearnt=0, **identity):
    """Density x horizon with every measure of the report, and when each seed learnt the task.

    Of the sparsest timing arm at the longest horizon the first `unlearnt` seeds do not learn.
    """
    rng = np.random.default_rng(11)
    found = []
    grid = itertools.product(steps, gammas, enumerate(arms), range(seeds))
    for most, gamma, (i, reward), seed in grid:
        learnt = not (reward == "every cap" and most == steps[-1] and seed < unlearnt)
        measures = resourceful(rng, 0.0, "dense", 0.0, gamma, learnt)
        measures |= {
            "share_of_surplus": 0.1 * i + 0.01 * most / 28,
            "disabled": 0.1 * i,
            "power_seeking": 0.1 * i - 0.5,
            "optimum_power_seeking": 0.1 * i - 0.4,
        }
        told = {"reward": reward, "gamma": gamma, "max_steps": most, "seed": seed, **identity}
        found += trial_rows(measures, "ok" if learnt else "censored", **told)
        if learnt:
            crossing = trial_rows(measures, checkpoint="competence>=0.9", **told)
            when = 10_000 * (i + 1) * (most // 14) + 1000 * seed
            found += [{**row, "timesteps": when} for row in crossing]
    return found
