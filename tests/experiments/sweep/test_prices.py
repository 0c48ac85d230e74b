"""Prices of a study's rewards: what they come to, and those that pay for doing nothing."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from powerseek.errors import InvalidInput
from powerseek.exact import constraint, enumerate_world, need, optimum
from powerseek.experiments.plan.plan import make_plan
from powerseek.experiments.plan.text import print_plan
from powerseek.experiments.run import run_study
from powerseek.experiments.study.checked import cells
from powerseek.experiments.study.schema import Study, make_study
from powerseek.experiments.sweep import prices as checked
from powerseek.experiments.sweep.prices import FEWEST, Price, prices, unchecked_price
from powerseek.registry import make_world

HOME: dict[str, Any] = {"id": "homestead", "openness": [0], "max_steps": [16]}
DEAR = {"priced": 0.5, "of": "terminal"}


def a_study(*rewards: Any, **keys: Any) -> Study:
    base = {"name": "s", "worlds": [HOME], "timesteps": 2048, "seeds": 1}
    return make_study({**base, "rewards": list(rewards), **keys})


def found(*rewards: Any, **keys: Any) -> list[Price]:
    return list(prices(cells(a_study(*rewards, **keys))))


def test_each_price_is_held_against_what_success_leaves_open() -> None:
    cheap, need_at = {"priced": 0.02, "of": "terminal"}, {"coverage": 1, "aim": "need"}
    told = found("terminal", cheap, {"coverage": 1}, need_at, power_weight=[0, 1])
    world = make_world("homestead", openness=0, max_steps=16)
    assert [price.cell.reward_label for price in told] == [
        "terminal price 0.02",
        "coverage 1 need price 0.02",
    ]
    for price, spec in zip(told, (cheap, need_at), strict=True):
        assert price.felt == pytest.approx(0.02 * constraint(world, "terminal").width)
        assert price.greatest == pytest.approx(need(world).max_success)
        assert price.success == pytest.approx(optimum(world, spec).uniform.success)
        assert not price.unknown


def test_agents_observe_what_they_pay_for_under_every_reward_of_their_study() -> None:
    grid = cells(
        a_study(
            "dense",
            {"priced": 0.02, "of": {"every": 4}},
            worlds=[HOME, {"id": "required"}],
        )
    )
    assert all(cell.acquired_so_far and cell.windows == (4,) for cell in grid)
    assert not any(cell.acquired_so_far for cell in cells(a_study("dense", {"coverage": 1})))


def test_a_price_that_pays_for_doing_nothing_is_refused(tmp_path: Path) -> None:
    words = (
        r"rewards: got 'terminal price 0\.5'; allowed: a price whose optimum succeeds in at least "
        r"0\.9 of .*homestead openness 0.* succeeds in 0\.0.*, without the price in 0\.[1-9].*\. "
        r"Write \{priced: (.*), of: terminal\}, or add "
        r"paid_to_fail: true\.$"
    )
    study, out = a_study("terminal", DEAR), tmp_path / "out"
    with pytest.raises(InvalidInput, match=words) as refused:
        make_plan(study)
    with pytest.raises(InvalidInput, match=words):
        run_study(study, out, console=Console(quiet=True))
    assert not out.exists()
    # The line to write is taken.
    instead = float(str(refused.value).split("{priced: ")[1].split(",")[0])
    (passes,) = found({"priced": instead, "of": "terminal"})
    assert passes.success >= FEWEST * passes.greatest
    with pytest.raises(InvalidInput, match="allowed: a price whose optimum"):
        found({"coverage": 1, "aim": "need", "price": 2.0})


def test_whoever_asks_for_a_price_that_pays_for_doing_nothing_has_it() -> None:
    (price,) = found({**DEAR, "paid_to_fail": True})
    assert price.success < FEWEST * price.greatest
    plan = make_plan(a_study("terminal", {**DEAR, "paid_to_fail": True}))
    console = Console(record=True, width=120, quiet=True)
    print_plan(plan, console)
    assert plan.prices == (price,)


def test_a_plan_shows_what_each_price_comes_to(capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(a_study("terminal", {"priced": 0.02, "of": "terminal"}))
    print_plan(plan, Console(width=120))
    shown = capsys.readouterr().out
    (price,) = plan.prices
    row = next(line for line in shown.splitlines() if line.startswith("terminal price 0.02"))
    assert row.split()[3:7] == [
        "0.02",
        f"{price.felt:.3f}",
        f"{price.success:.3f}",
        f"{price.greatest:.3f}",
    ]
    print_plan(make_plan(a_study("terminal")), Console(width=120))
    assert "Prices" not in capsys.readouterr().out


def test_a_price_that_cannot_be_checked_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    study = a_study({"priced": 0.02, "of": "terminal"})
    assert [*map(unchecked_price, prices(cells(study)))] == [""]
    learnt = a_study({"priced": 0.02, "of": {"preference": 9}})
    (unknown,) = map(unchecked_price, prices(cells(learnt)))
    assert "the same at every seed" in unknown
    few = partial(enumerate_world, limit=10)  # of a world too large nobody knows an optimum
    monkeypatch.setattr(checked, "enumerated", few)
    (price,) = prices(cells(study))
    words = "whether its price pays for doing nothing is not known"
    assert words in unchecked_price(price)
    assert any(words in line for line in make_plan(study).cautions)
