"""Every picture is a small, valid PNG, and shows what the tables hold."""

from __future__ import annotations

import io
from math import nan
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image
from synthetic import (
    AGENTS,
    frame,
    make_curves,
    make_frontiers,
    make_results,
    references,
    trial_rows,
)

from powerseek.experiments.analysis.cells import cells_of
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report import sections
from powerseek.experiments.report.figures import style as drawing
from powerseek.experiments.report.figures.style import DARK, LIGHT, MARKS, WHEEL, Picture
from powerseek.experiments.report.figures.treatments import PARTS, treatment_pictures
from powerseek.metrics import metric_of

ALL = {
    *(f"{name}-homestead" for name in ("acquisition", "competence", "evaded")),
    *("learning-homestead", "frontier-homestead"),
    *("map-surplus-gamma-homestead", "map-evaded-gamma-homestead"),
    *(f"{name}-endgame" for name in ("acquisition", "competence", "learning")),
    *("evaded-off-switch", "map-evaded-gamma-off-switch", "learning-off-switch"),
}


def pictures(results, frontiers=None, curves=None):
    view = View(results)
    view.table = {"frontiers": frontiers, "curves": curves}.get
    return sections.report_pictures(sections.sections(view))


def write_figures(results, folder):
    return sections.write_figures(sections.sections(View(results, folder)), folder)


@pytest.fixture(scope="module")
def results():
    return make_results(seeds=4, unlearnt=2)


@pytest.fixture(scope="module")
def found(results):
    drawn = pictures(results, make_frontiers(), make_curves(results))
    return {picture.name: picture for picture in drawn}


def check(data: bytes) -> Image.Image:
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(data) < 200_000
    image = Image.open(io.BytesIO(data))
    image.load()
    assert 600 < image.width < 1000
    assert len(set(image.convert("L").tobytes())) > 3
    return image


def shown(picture: Picture):
    figure = picture.draw(LIGHT)
    return figure, figure.axes[0]


def bars(axes, colour):
    """(left end, width) of the bars of a colour, from top to bottom."""
    import matplotlib.colors as colours

    wanted = colours.to_rgb(colour)
    return [
        (bar.get_x(), bar.get_width())
        for bar in axes.patches
        if colours.to_rgb(bar.get_facecolor()) == wanted
    ]


def test_every_picture_is_there(found):
    assert set(found) == ALL
    for picture in found.values():
        assert len(picture.caption) > 60
        assert picture.title


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_picture_is_a_small_png(found, name):
    check(found[name].png())


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_a_picture_stands_on_its_ground(found, theme):
    corner = check(found["acquisition-homestead"].png(theme)).convert("RGB").getpixel((1, 1))
    ground = tuple(int(theme.ground[i : i + 2], 16) for i in (1, 3, 5))
    assert np.abs(np.subtract(corner, ground)).max() < 8


def test_a_picture_drawn_twice_is_the_same(found):
    assert found["learning-endgame"].png() == found["learning-endgame"].png()


def split(acquired, free, precaution, harmful, restraint):
    """Measures of an agent that was evaluated exactly, in a world where need is 2."""
    own = {"free": free, "precaution": precaution, "harmful": harmful, "restraint": restraint}
    treatment = {"constraint_low": (1.5,) * 3, "constraint_high": (5.0,) * 3}
    treatment |= {"optimum_acquired": (3.0, 2.5, 3.5), "need_end": (2.0,) * 3}
    known = {"need": 1.9, "excess": acquired - 1.9, "beyond": acquired - 2.0, "slip_excess": 0.3}
    return {"competence": 1.0, "acquired": acquired, **known, **own, **treatment}


def test_the_bars_of_an_acquisition_add_up_to_it():
    parts = {"dense": (4.5, 0.5, 1.0, 0.25, -0.75), "terminal": (2.5, 0.0, 0.0, 0.5, 0.0)}
    trials = [trial_rows(split(*told), reward=reward) for reward, told in parts.items()]
    (picture,) = [p for p in pictures(frame(*trials)) if p.name.startswith("acquisition")]
    _, axes = shown(picture)
    assert bars(axes, LIGHT.need) == [(1.5, 3.5), (1.5, 3.5)]  # W
    for i, (acquired, *own, left) in enumerate(parts.values()):
        at = acquired - sum(own)
        assert bars(axes, LIGHT.faint)[i] == (0, at)
        for colour, width in zip(PARTS.values(), own, strict=True):
            assert bars(axes, colour)[i] == pytest.approx((at, width))
            at += width
        assert at == acquired
        hatched = [b for b in axes.patches if b.get_hatch()][i]
        assert (hatched.get_x(), hatched.get_width()) == (acquired - sum(own), -left)
    lines = {line.get_label(): line.get_xdata() for line in axes.lines}
    assert list(lines["need (greatest success)"]) == [2.0, 2.0]
    assert list(lines["exact optimum"]) == [3.0]
    assert list(lines["slipping minimalist"]) == pytest.approx([2.2])
    dots = [line.get_xdata()[0] for line in axes.lines if line.get_label() == "one seed"]
    assert dots == [4.5, 2.5]


def test_agents_that_did_not_learn_have_no_bar_and_are_named():
    trials = [trial_rows(split(4.5, 1.0, 0.0, 0.0, 0.0), "censored", seed=s) for s in range(2)]
    (picture,) = [p for p in pictures(frame(*trials)) if p.name.startswith("acquisition")]
    _, axes = shown(picture)
    assert bars(axes, LIGHT.need) == [(1.5, 3.5)]
    assert not bars(axes, LIGHT.faint)
    assert any(text.get_text().endswith("not learnt: not scored \u2020") for text in axes.texts)


def test_without_an_oracle_only_acquired_is_drawn():
    trials = [trial_rows({"competence": 1.0, "acquired": 2.0}, seed=seed) for seed in range(2)]
    drawn = {p.name: p for p in pictures(frame(*trials))}
    assert set(drawn) == {"acquisition-homestead"}
    assert "without an exact oracle" in drawn["acquisition-homestead"].caption
    figure, axes = shown(drawn["acquisition-homestead"])
    assert bars(axes, LIGHT.faint) == [(0, 2.0)]
    assert "acquired" in [text.get_text() for text in figure.legends[0].get_texts()]
    check(drawn["acquisition-homestead"].png())


@pytest.mark.parametrize(
    "table",
    [
        make_results(seeds=1).query("openness == 0 and gamma == 1"),
        make_results(seeds=2, unlearnt=2).query("openness == 0 and reward == 'terminal'"),
        frame(trial_rows({}, "failed"), trial_rows({}, "failed", seed=1)),
        frame(trial_rows({"competence": nan, "acquired": nan})),
        frame(trial_rows({"competence": 0.1, "acquired": 0.0, "excess": 0.0}, "censored")),
        frame(trial_rows({"return": 1.0}, openness=nan, goal=None)),
    ],
    ids=["one seed", "censored", "failed", "nan", "all zero", "foreign world"],
)
def test_poor_results_do_not_crash(table):
    for picture in pictures(table, make_frontiers(), make_curves(table)):
        check(picture.png())


def test_no_results_no_pictures(tmp_path, results):
    assert pictures(results.iloc[:0]) == []
    assert write_figures(results.iloc[:0], tmp_path) == []


@pytest.mark.parametrize("empty", [pd.DataFrame(), make_frontiers().iloc[:0]])
def test_empty_tables_beside_draw_nothing(results, empty):
    names = {picture.name for picture in pictures(results, empty, empty)}
    assert names == {name for name in ALL if not name.startswith(("learning", "frontier"))}


@pytest.mark.parametrize("name", ["a/b", "../up", "<b>&", "$x^$", "w\u00f6rld"])
def test_odd_names_are_drawn_and_stay_in_the_folder(tmp_path, name):
    measures = {"competence": 1.0, "acquired": 1.0, "excess": 0.5, "disabled": 0.5}
    table = frame(trial_rows(measures, world=name, reward=name, goal=name))
    written = write_figures(table, tmp_path)
    assert len(written) == 3
    assert all(path.parent == tmp_path for path in written)
    vectors = [path.with_suffix(".svg") for path in written]
    assert sorted(tmp_path.iterdir()) == sorted([*written, *vectors])
    for path in written:
        check(path.read_bytes())


def test_tables_beside_the_results_are_used(tmp_path, results):
    results = results[(results["world"] == "homestead") & (results["gamma"] == 1)]
    (tmp_path / "internals").mkdir()
    make_curves(results).to_parquet(tmp_path / "internals/curves.parquet")
    make_frontiers().to_parquet(tmp_path / "internals/frontiers.parquet")
    written = {path.stem for path in write_figures(results, tmp_path)}
    assert written == {name for name in ALL if name.endswith("homestead") and name[:3] != "map"}


def test_agents_are_shown_against_the_frontier_of_their_own_setting():
    measures = {"competence": 1.0, "success": 1.0, "acquired": 3.0, "excess": 1.0}
    table = frame(*(trial_rows(measures, max_steps=steps) for steps in (28, 40)))
    lines = [
        {
            "world": "homestead",
            "openness": 0.0,
            "goal": "deliver",
            "max_steps": steps,
            "kind": "need",
            "success": success,
            "acquisition": steps * success,
        }
        for steps in (28, 40, 99)
        for success in (0.0, 1.0)
    ]
    (picture,) = [p for p in pictures(table, pd.DataFrame(lines)) if p.name.startswith("front")]
    figure = picture.draw(LIGHT)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [f"openness 0, goal deliver, steps {steps}" for steps in (28, 40)]
    for axes, steps in zip(figure.axes, (28, 40), strict=True):
        line, agents = axes.lines
        assert list(line.get_ydata()) == [0, 0, steps]  # level below its first vertex
        assert list(agents.get_ydata()) == [3.0]


@pytest.mark.parametrize("gap", [0.001, 0.5])
def test_frontiers_that_are_not_close_say_so(gap):
    frontiers = make_frontiers().assign(gap=gap)
    (picture,) = [p for p in pictures(make_results(), frontiers) if p.name.startswith("front")]
    assert ("0.5 units off" in picture.caption) == (gap > 0.001)


def test_too_many_frontiers_are_counted():
    measures = {"competence": 1.0, "success": 1.0, "acquired": 3.0, "excess": 1.0}
    table = frame(*(trial_rows(measures, openness=float(i)) for i in range(12)))
    lines = [
        {
            "world": "homestead",
            "openness": float(i),
            "goal": "deliver",
            "kind": "need",
            "success": 1.0,
            "acquisition": 2.0,
        }
        for i in range(12)
    ]
    (picture,) = [p for p in pictures(table, pd.DataFrame(lines)) if p.name.startswith("front")]
    assert len(picture.draw(LIGHT).axes) == 9
    assert picture.caption.endswith("3 more settings are not drawn.")


def test_many_cells_still_make_a_small_picture():
    measures = {
        "competence": 1.0,
        "acquired": 3.0,
        "need": 1.0,
        "incentive": (1.0, 1.0, 1.0),
        "excess": 2.0,
        "disabled": 0.5,
    }
    trials = [
        trial_rows(measures, reward=f"every {k}", gamma=gamma, seed=seed)
        for k in range(1, 13)
        for gamma in (0.8, 0.9, 1.0)
        for seed in range(3)
    ]
    for picture in pictures(frame(*trials)):
        check(picture.png())


def test_discounts_are_told_apart(found):
    figure, _ = shown(found["competence-homestead"])
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "dense, gamma 0.9" in words
    assert "dense, gamma 1, w 1" in words
    pairs = {(WHEEL[i % len(WHEEL)], MARKS[i % len(MARKS)]) for i in range(42)}
    assert len(pairs) == 42


def test_the_mean_curve_is_the_mean_of_the_runs(results):
    curves = make_curves(results)
    mine = results[(results["world"] == "endgame") & (results["reward"] == "dense")]["trial"]
    curves.loc[curves["trial"] == mine.iloc[0], "competence"] = 0.0
    (picture,) = [p for p in pictures(results, None, curves) if p.name == "learning-endgame"]
    _, axes = shown(picture)
    (mean,) = [line for line in axes.lines if line.get_label() == "dense"]
    wanted = curves[curves["trial"].isin(mine)].groupby("timesteps")["competence"].mean()
    assert mean.get_ydata() == pytest.approx(wanted.to_numpy())


@pytest.mark.parametrize("reward", ["dense", "every 8 corrected", "a-plugin/of-a-rather-long-name"])
def test_the_legend_stays_within_the_picture(reward):
    measures = {"competence": 0.95, "acquired": 3.0, "need": 1.0, "excess": 2.0}
    trials = [
        trial_rows(measures, reward=f"{reward}{i}", gamma=gamma, power_weight=weight)
        for i in range(4)
        for gamma, weight in ((0.95, 0.0), (1.0, 0.25))
    ]
    picture = next(p for p in pictures(frame(*trials)) if p.name.startswith("competence"))
    figure, _ = shown(picture)
    figure.savefig(io.BytesIO(), dpi=100)
    drawn = figure.legends[0].get_window_extent()
    assert drawn.x0 >= 0
    assert drawn.x1 <= figure.bbox.x1


def test_svg_files_are_whole_and_the_same_each_time(results):
    first, second = (pictures(results) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        drawn = one.svg()
        ElementTree.fromstring(drawn)
        assert drawn == other.svg()


def test_a_picture_of_what_is_asked_for_shows_what_success_takes_and_no_agents_that_failed():
    lost = {"competence": 0.97, "success": 0.97, "disempowerment": -0.3}
    lost |= {"needed_disempowerment": -0.1}
    trials = [
        trial_rows(lost, status, world="commons", reward=reward, seed=seed)
        for reward, status in (("dense", "ok"), ("terminal", "censored"))
        for seed in range(3)
    ]
    (picture,) = treatment_pictures(
        cells_of(View(frame(*trials))), [metric_of("disempowerment")], {}
    )
    _, axes = shown(picture)
    texts = [text.get_text() for text in axes.texts]
    assert [text.split(" †")[0] for text in texts] == ["dense", "terminal, not learnt: not scored"]
    marks = [
        (line.get_label(), *line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 1
    ]
    assert {("equal success takes (exact)", -0.1), ("mean over seeds", -0.3)} <= {*marks}
    assert [what for what, *_ in marks].count("mean over seeds") == 1
    assert "Hollow" in picture.caption


def test_many_seeds_are_a_box_instead_of_dots():
    trials = [
        trial_rows({"competence": 1.0, "disabled": seed / 300}, seed=seed) for seed in range(301)
    ]
    (picture,) = (p for p in pictures(frame(*trials)) if p.name.startswith("evaded"))
    _, axes = shown(picture)
    assert not [line for line in axes.lines if line.get_label() == "one seed"]
    (half,) = [line for line in axes.lines if line.get_label() == "seeds: middle half"]
    assert half.get_xdata() == pytest.approx([0.25, 0.75])


def test_a_picture_shows_the_first_settings_and_says_so():
    trials = [trial_rows({"competence": 1.0, "disabled": 0.5}, reward=f"r{i}") for i in range(70)]
    (picture,) = (p for p in pictures(frame(*trials)) if p.name.startswith("evaded"))
    assert picture.caption.endswith(
        "The first 60 of 70 settings, in the order of the study; all of them follow from "
        "results.parquet."
    )
    _, axes = shown(picture)
    assert [text.get_text() for text in axes.texts] == [f"r{i}" for i in range(60)]


def test_a_crowd_of_points_is_one_image_in_an_svg():
    assert not drawing.crowded(200).get("rasterized")
    assert drawing.crowded(201)["rasterized"]


def test_agents_that_do_not_learn_are_crosses_with_their_names(results):
    beside = pd.DataFrame(references(seeds=2))
    drawn = pictures(pd.concat([results, beside]), make_frontiers())
    (picture,) = [p for p in drawn if p.name == "frontier-homestead"]
    assert "Crosses are agents that do not learn" in picture.caption
    closed, opened = picture.draw(LIGHT).axes
    crosses = [line for line in closed.lines if line.get_label() == "does not learn"]
    shown = {(round(float(c.get_xdata()[0]), 6), float(c.get_ydata()[0])) for c in crosses}
    assert shown == {
        (0.48 if agent == "random" else 0.97, acquired) for agent, (acquired, *_) in AGENTS.items()
    }
    assert {text.get_text() for text in closed.texts} == set(AGENTS)
    assert not [line for line in opened.lines if line.get_label() == "does not learn"]


def test_a_reward_has_one_mark_in_every_panel():
    measures = {"competence": 1.0, "success": 1.0, "acquired": 3.0, "excess": 1.0}
    table = frame(
        trial_rows(measures, reward="dense"),
        *(trial_rows(measures, reward="terminal", openness=openness) for openness in (0.0, 2.0)),
    )
    (picture,) = [p for p in pictures(table, make_frontiers()) if p.name.startswith("frontier")]
    marks = [
        {line.get_label(): line.get_marker() for line in axes.lines}["terminal"]
        for axes in picture.draw(LIGHT).axes
    ]
    assert marks == [MARKS[1], MARKS[1]]


def test_the_legend_names_what_only_a_later_panel_shows():
    measures = {"competence": 1.0, "success": 1.0, "acquired": 3.0, "excess": 1.0}
    table = frame(
        trial_rows(measures, reward="dense"), trial_rows(measures, reward="terminal", openness=2.0)
    )
    (picture,) = [p for p in pictures(table, make_frontiers()) if p.name.startswith("frontier")]
    (shown,) = picture.draw(LIGHT).legends
    assert {"dense", "terminal"} <= {text.get_text() for text in shown.get_texts()}


@pytest.mark.parametrize("heights", [[0.9] * 9, [0.0] * 4, [0.1, 0.5, 0.5, 1.0]])
def test_names_beside_a_picture_neither_meet_nor_leave_it(heights):
    axes = Figure(figsize=(6, 4)).add_subplot()
    axes.set_ylim(0, 1)
    drawing.name_beside(axes, [(f"n{i}", 0.5, y) for i, y in enumerate(heights)], LIGHT, 1.02)
    places = [text.xyann[1] for text in axes.texts]
    assert (np.diff(places) > 0.08).all()
    assert min(places) > 0.02
    assert max(places) < 0.98
