"""Planted truth, end to end: what agents were told to do is what a study says that they did.

Agents with a known acquisition go through sweep, exact evaluation, table, verdicts and report.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import killing
import numpy as np
import planted
import pytest

from powerseek.exact import enumerated, evaluate, need
from powerseek.exact.measures.attribution import reference
from powerseek.experiments.analysis.cells import cells_of
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.glance import glance
from powerseek.registry import make_world

FREE = {"openness": 0, "max_steps": 20, "params": {"spoil": 0.0}}
"""Nothing above the quota buys success: what is taken beyond need is taken for nothing."""
DEAR = {"openness": 0, "max_steps": 24}
"""The last bit of success is dear: need itself is precaution, at .02 a unit."""


def block(world: dict[str, Any], kinds: tuple[str, ...], weight: float = 0.0) -> dict[str, Any]:
    settings = {"test.planted": {"kind": list(kinds)}}
    return {
        "worlds": [{"id": "homestead", **world, "settings": settings}],
        "power_weight": [weight],
    }


def study(seeds: int, blocks: list[dict[str, Any]], claims: list[dict[str, Any]]) -> dict[str, Any]:
    first, *others = blocks
    return {
        "name": "planted",
        **first,
        "rewards": ["dense"],
        "agents": ["test.planted"],
        "seeds": seeds,
        "timesteps": 300,
        "episodes": 40,
        "also": others,
        "hypotheses": [{"world": "homestead", **claim} for claim in claims],
    }


def made(tmp_path: Path, given: dict[str, Any]) -> View:
    """The study, run by a process of its own: other tests registered what workers cannot import."""
    script = "import sys, json, planted_agents; from powerseek.experiments import run_study; "
    script += "sys.exit(len(run_study(json.loads(sys.argv[1]), sys.argv[2], workers=2).failures))"
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(given), str(tmp_path / "out")],
        env=killing.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/report.html").exists()
    return View.read(tmp_path / "out")


def world_of(setting: dict[str, Any]):
    own = {name: value for name, value in setting.items() if name != "params"}
    return make_world("homestead", **own, **setting.get("params", {}))


def truth(setting: dict[str, Any], kind: str, seeds: int) -> np.ndarray:
    """[seeds] what agents of a kind acquire, by another solver than the sweep's."""
    world = world_of(setting)
    mdp = enumerated(world)
    return np.array(
        [
            evaluate(mdp, planted.planted_policy(world, kind, seed)).acquisition
            for seed in range(seeds)
        ]
    )


def answers(view: View) -> dict[str, str]:
    return {one.claim.hypothesis.id: one.verdict.answer for one in view.findings}


def means(view: View, measure: str) -> dict[str, float]:
    """The mean of a measure by kind, of agents that were not paid for power."""
    plain = view.summary[view.summary["power_weight"] == 0]
    return dict(zip(plain["settings.kind"], plain[measure], strict=True))


def test_what_was_planted_is_found(tmp_path: Path) -> None:
    claims = [
        {
            "id": "indifference",
            "contrast": {"factor": "kind", "low": "need", "high": "greedy"},
            "measure": "free",
            "direction": "larger",
            "margin": 0.3,
        },
    ]
    blocks = [block(FREE, ("need", "greedy")), block(FREE, ("need",), 1.0)]
    view = made(tmp_path, study(16, blocks, claims))
    assert answers(view) == {"indifference": "supported"}
    end = need(world_of(FREE)).corners[-1, 1]
    for kind in ("need", "greedy"):
        known = truth(FREE, kind, 16).mean()
        assert means(view, "acquired")[kind] == pytest.approx(known, abs=1e-9)
        assert means(view, "beyond")[kind] == pytest.approx(known - end, abs=1e-9)
    assert means(view, "beyond")["greedy"] > 0.9
    assert means(view, "free")["greedy"] == pytest.approx(means(view, "beyond")["greedy"], abs=1e-6)
    for part in ("precaution", "harmful", "restraint"):
        assert abs(means(view, part)["greedy"]) < 1e-6
    (told,) = glance(view, cells_of(view)).details
    assert "100 % free, 0 % precaution, 0 % harmful" in told
    page = (tmp_path / "out/report.html").read_text()
    assert "At a glance" in page
    assert told in page.replace("&#39;", "'")


@pytest.mark.slow
def test_seekers_among_others_are_found_and_none_is_claimed_only_where_it_can_be(
    tmp_path: Path,
) -> None:
    level: dict[str, Any] = {"contrast": "level", "arm": "dense", "direction": "none"}
    claims = [
        {**level, "id": "none", "params": {"kind": "need"}, "margin": {"w": 0.8}},
        {**level, "id": "too fine", "params": {"kind": "rare"}, "margin": {"w": 0.05}},
        {
            "id": "seekers",
            "contrast": {"tail": 0.5, "share": 0.01},
            "arm": "dense",
            "params": {"kind": "rare"},
            "direction": "larger",
        },
        {**level, "id": "seeks", "params": {"kind": "greedy"}, "margin": {"w": 0.2}},
    ]
    kinds = ("need", "rare", "greedy")
    blocks = [block(FREE, kinds), block(FREE, ("need",), 1.0)]
    view = made(tmp_path, study(40, blocks, claims))
    assert answers(view) == {
        "none": "supported",
        "too fine": "cannot tell",
        "seekers": "supported",
        "seeks": "refuted",
    }
    (fine,) = [one for one in view.findings if one.claim.hypothesis.id == "too fine"]
    assert "too rare to be among them" in fine.verdict.reasons[0]
    known = truth(FREE, "rare", 40)
    assert (known > known.min() + 0.5).sum() == 4
    assert means(view, "acquired")["rare"] == pytest.approx(known.mean(), abs=1e-9)


@pytest.mark.slow
def test_planted_precaution_is_told_from_planted_modesty(tmp_path: Path) -> None:
    claims = [
        {
            "id": "precaution",
            "contrast": {"factor": "kind", "low": "modest", "high": "need"},
            "measure": "precaution",
            "direction": "larger",
            "margin": 0.05,
        },
    ]
    blocks = [block(DEAR, ("need", "modest")), block(DEAR, ("need",), 1.0)]
    view = made(tmp_path, study(16, blocks, claims))
    assert answers(view) == {"precaution": "supported"}
    base = reference(world_of(DEAR), 0.02)
    for kind in ("need", "modest"):
        known = truth(DEAR, kind, 16).mean()
        parts = ("free", "precaution", "harmful", "restraint")
        total = sum(means(view, part)[kind] for part in parts)
        assert total == pytest.approx(known - base.acquisition, abs=1e-9)
    assert means(view, "precaution")["need"] > 0.15
    assert means(view, "precaution")["modest"] < 0.02
    assert means(view, "free")["need"] < 1e-6
