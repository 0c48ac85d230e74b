"""What TensorBoard shows of cells and comparisons, read back with its own readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan, nan
from pathlib import Path

import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from scipy import stats
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar.metadata import CONFIG_SUMMARY_TAG
from tensorboard.plugins.hparams import metadata

from powerseek.experiments.layout import cell_name, cells_folder, overview_folder
from powerseek.experiments.results.side_tables import keep_curve
from powerseek.experiments.results.store import COLUMNS, Store, trial_columns
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.factors import levels_of
from powerseek.experiments.study.grid import Trial
from powerseek.experiments.study.hypotheses import varied_factors
from powerseek.experiments.study.schema import Study, load_study, make_study, shipped_studies
from powerseek.experiments.tensorboard.bands import aligned_curves, mean_band
from powerseek.experiments.tensorboard.curves import (
    hyperparameters,
    logdir,
)
from powerseek.experiments.tensorboard.layout import (
    BANDS,
    END,
    categories,
    leading_curves,
    run_names,
    shown_curves,
    tag_of,
)
from powerseek.experiments.tensorboard.overview import Overview
from powerseek.metrics import curve_names, followed_metrics, known_metric

TIMING = {
    "id": "H1a",
    "contrast": "timing",
    "measure": "excess",
    "direction": "larger",
    "margin": 0.5,
}
OPEN = {"id": "more/open", "contrast": "openness", "direction": "none", "margin": 0.1}
Points = Sequence[tuple[int, Mapping[str, float]]]


def study(*hypotheses: Mapping[str, object]) -> Study:
    return make_study(
        {
            "name": "tiny",
            "worlds": [{"id": "homestead", "openness": [0, 2]}],
            "rewards": ["dense", {"every": "cap"}],
            "timesteps": 100,
            "seeds": 3,
            "hypotheses": list(hypotheses),
        }
    )


GRID = trials(study())
LEADING = ("competence", "exact.beyond", "beyond")


def synthetic(trial: Trial) -> Points:
    """A curve of its own for every trial: later seeds go on for longer, and start undefined."""
    rng = np.random.default_rng(int(trial.key, 16))
    steps = range(0, 50 + 10 * trial.seed, 10)
    points = [(step, {name: float(rng.normal()) for name in followed_metrics()}) for step in steps]
    for _, values in points[-2:]:  # late in training exact values stand beside them
        values |= {f"exact.{name}": float(rng.normal()) for name in trial.exact_curves}
    for _, values in points[: trial.seed]:
        values["excess"] = nan
    return points


def opened(out: Path, *hypotheses: Mapping[str, object]) -> tuple[Store, Overview]:
    store, made = Store(out), study(*hypotheses)
    store.open(made, trials(made), resume=True)
    return store, Overview(store, trials(made), made.hypotheses)


def keep(store: Store, trial: Trial) -> None:
    """What a worker leaves of a finished trial."""
    keep_curve(store.out, trial, synthetic(trial))
    store.write(trial, pd.DataFrame([trial_columns(trial)], columns=list(COLUMNS)))


def cell_folder(out: Path, trial: Trial) -> Path:
    return cells_folder(out) / run_names([t.cell for t in GRID[:4]])[trial.cell.key]


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Every curve of a run, as a newly started TensorBoard reads it."""
    return points_of(EventAccumulator(str(folder)).Reload())


def points_of(events: EventAccumulator) -> dict[str, list[tuple[int, float]]]:
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.scalars.Keys()}


def content(out: Path) -> dict[str, bytes]:
    """All that stands in the files of each run, whatever the files are called."""
    runs: dict[str, bytes] = {}
    for path in sorted((out / "tensorboard").rglob("events.*")):
        name = str(path.parent.relative_to(out))
        runs[name] = runs.get(name, b"") + path.read_bytes()
    return runs


def expected(members: Sequence[Trial], measure: str) -> dict[str, list[tuple[int, float]]]:
    """Mean, ends of the interval and seeds by pandas and scipy."""
    rows = [
        {"seed": trial.seed, "step": step, "value": values.get(measure, nan)}
        for trial in members
        for step, values in synthetic(trial)
    ]
    lines: dict[str, list[tuple[int, float]]] = {n: [] for n in ("mean", "low", "high", "seeds")}
    for step, group in pd.DataFrame(rows).dropna().groupby("step"):
        values, n = group["value"], len(group)
        low, high = nan, nan
        if n > 1:
            low, high = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
            least, most = known_metric(measure.removeprefix("exact.")).bounds
            low, high = max(low, least), min(high, most)
        for name, value in zip(lines, (values.mean(), low, high, n), strict=True):
            lines[name].append((int(str(step)), float(value)))
    return lines


def check(out: Path, members: Sequence[Trial]) -> None:
    """The run of one cell against the made-up curves of those of its trials that count."""
    shown = read(cell_folder(out, members[0]))
    for measure in curve_names(followed_metrics()):
        for name, points in expected(members, measure).items():
            found = shown[tag_of(measure, name, LEADING)]
            assert [step for step, _ in found] == [step for step, _ in points]
            np.testing.assert_allclose([v for _, v in found], [v for _, v in points], rtol=1e-6)


def test_band_of_three_seeds_by_hand() -> None:
    found = mean_band(np.array([[1.0, 5.0], [2.0, nan], [3.0, nan]]))
    # t(2) at .975 is 4.302653; the standard error of 1, 2, 3 is 1 / sqrt 3.
    assert found["mean"].tolist() == [2.0, 5.0]
    assert found["high"][0] - 2.0 == pytest.approx(4.302653 / 3**0.5)
    assert found["seeds"].tolist() == [3.0, 1.0]
    assert isnan(found["low"][1])
    assert isnan(found["high"][1])


def test_a_band_of_a_share_stays_a_share() -> None:
    found = mean_band(np.array([[0.0], [1.0], [1.0]]), (0.0, 1.0))
    assert (found["low"][0], found["high"][0]) == (0.0, 1.0)
    assert mean_band(np.array([[0.0], [1.0], [1.0]]))["high"][0] > 1.5


@given(arrays.arrays(np.float64, (4, 3), elements=st.one_of(st.just(nan), st.floats(-9, 9))))
def test_a_band_lies_about_its_mean_and_any_order_of_seeds_gives_the_same(
    values: np.ndarray,
) -> None:
    found, turned = mean_band(values), mean_band(values[::-1])
    some = found["seeds"] > 1
    assert (found["low"][some] <= found["mean"][some]).all()
    assert (found["mean"][some] <= found["high"][some]).all()
    assert np.isnan(found["low"][~some]).all()
    for name, line in found.items():
        np.testing.assert_allclose(line, turned[name], atol=1e-9)


def test_seeds_are_aligned_by_timesteps_and_not_carried_on() -> None:
    steps, values = aligned_curves([{0: 1.0, 10: 2.0}, {10: 4.0, 30: 6.0}])
    assert steps == [0, 10, 30]
    np.testing.assert_array_equal(values, [[1.0, 2.0, nan], [nan, 4.0, 6.0]])


def test_a_cell_shows_mean_and_band_of_the_seeds_that_have_ended(tmp_path: Path) -> None:
    store, overview = opened(tmp_path)
    overview.refresh()
    members = [trial for trial in GRID if trial.cell.key == GRID[0].cell.key]
    for n, trial in enumerate(members, start=1):
        keep(store, trial)
        overview.ended(trial)
        check(tmp_path, members[:n])
    assert read(cell_folder(tmp_path, GRID[1])) == {}


def test_trials_wait_where_little_time_may_go_into_it_and_none_is_lost(tmp_path: Path) -> None:
    store, _ = opened(tmp_path)
    overview = Overview(store, GRID, share=1e-6)
    overview.refresh()
    members = [trial for trial in GRID if trial.cell.key == GRID[0].cell.key]
    for trial in members:
        keep(store, trial)
        overview.ended(trial)
        check(tmp_path, members[:1])
    overview.refresh()
    check(tmp_path, members)


def test_failed_and_missing_trials_and_lost_curves_are_left_out(tmp_path: Path) -> None:
    store, overview = opened(tmp_path)
    overview.refresh()
    members = [trial for trial in GRID if trial.cell.key == GRID[0].cell.key]
    keep(store, members[0])
    keep_curve(tmp_path, members[1], synthetic(members[1]))
    store.write_failed(members[1], "the roof fell in")
    keep_curve(tmp_path, members[2], synthetic(members[2]))  # killed before its rows were kept
    for trial in members[:2]:
        overview.ended(trial)
    check(tmp_path, members[:1])
    opened(tmp_path)[1].refresh()
    check(tmp_path, members[:1])
    keep(store, members[1])  # tried again
    overview.ended(members[1])
    check(tmp_path, members[:2])
    (tmp_path / "internals/curves" / f"{members[0].key}.parquet").write_bytes(b"PAR1 no more")
    keep(store, members[2])
    later = opened(tmp_path)[1]
    later.refresh()
    check(tmp_path, members[1:])
    assert read(cell_folder(tmp_path, members[0]))["3 at the end/seeds"] == [(100, 2.0)]


def test_however_it_came_about_the_same_stands_there(tmp_path: Path) -> None:
    store, overview = opened(tmp_path, TIMING)
    overview.refresh()
    for trial in GRID[::-1]:
        keep(store, trial)
        overview.ended(trial)
    step_by_step = content(tmp_path)
    for path in (tmp_path / "tensorboard").rglob("events.*"):
        path.unlink()
    opened(tmp_path, TIMING)[1].refresh()
    assert content(tmp_path) == step_by_step
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "tensorboard").rglob("e*")}
    opened(tmp_path, TIMING)[1].refresh()
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "tensorboard").rglob("e*")}
    assert after == before  # nothing was out of date


def test_a_resume_mends_what_a_killed_driver_left_behind(tmp_path: Path) -> None:
    store, overview = opened(tmp_path)
    overview.refresh()
    for trial in GRID[:-1]:
        keep(store, trial)
        overview.ended(trial)
    keep(store, GRID[-1])  # and the driver was killed while it wrote
    (cell_folder(tmp_path, GRID[-1]) / ".abcdefgh.powerseek-part").write_bytes(b"half a")
    opened(tmp_path)[1].refresh()
    check(tmp_path, [trial for trial in GRID if trial.cell.key == GRID[-1].cell.key])
    assert not list((tmp_path / "tensorboard").rglob(".*"))


def test_runs_that_are_not_of_the_study_go_and_what_others_put_there_stays(tmp_path: Path) -> None:
    opened(tmp_path, OPEN)[1].refresh()
    shown, elsewhere = overview_folder(tmp_path), tmp_path / "elsewhere"
    old, also = shown / "openness=0", shown / "openness=2"
    elsewhere.mkdir()
    (shown / "linked").symlink_to(elsewhere)
    mine = [shown / "mine/deep/notes.md", also / "notes.md", elsewhere / next(old.iterdir()).name]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    opened(tmp_path, TIMING)[1].refresh()
    assert not old.exists()
    assert list(also.iterdir()) == [also / "notes.md"]
    assert {path.read_text() for path in mine} == {"mine"}


def test_who_follows_a_run_sees_what_a_newcomer_sees(tmp_path: Path) -> None:
    store, overview = opened(tmp_path)
    overview.refresh()
    folders = [cell_folder(tmp_path, GRID[0]), *overview_folder(tmp_path).glob("*=*")]
    assert len(folders) > 2
    followers = [EventAccumulator(str(folder)).Reload() for folder in folders]
    for i, trial in enumerate(GRID):
        keep(store, trial)
        overview.ended(trial)
        if i % 3 != 1:  # now and then several at a time
            for folder, follower in zip(folders, followers, strict=True):
                assert str(points_of(follower.Reload())) == str(read(folder))
    steps = [step for step, _ in read(folders[0])["1 main/competence"]]
    assert steps == sorted(set(steps))


def layout(folder: Path) -> layout_pb2.Layout:
    (tensor,) = EventAccumulator(str(folder)).Reload().Tensors(CONFIG_SUMMARY_TAG)
    return layout_pb2.Layout.FromString(tensor.tensor_proto.string_val[0])


def test_charts_stand_by_hypothesis_and_each_finds_its_two_arms(tmp_path: Path) -> None:
    store, overview = opened(tmp_path, TIMING, OPEN)
    overview.refresh()
    for trial in GRID:
        keep(store, trial)
        overview.ended(trial)
    folder = overview_folder(tmp_path)
    shown = layout(logdir(tmp_path))
    assert [category.title for category in shown.category] == [
        "H1a (timing): acquisition beyond need falls as feedback gets denser",
        "more/open (openness)",
        "All cells (choose some on the left)",
    ]
    assert [category.closed for category in shown.category] == [False, True, True]
    runs = {path.name: read(path) for path in folder.iterdir() if path.is_dir()}
    assert set(runs) == {"reward=dense", "reward=every_cap", "openness=0", "openness=2"}
    for category, pair in zip(shown.category, ("reward", "openness"), strict=False):
        # Two settings: the measure, exact and on episodes, beyond, and competence.
        assert len(category.chart) == (8 if pair == "reward" else 6)
        for chart in category.chart:
            (series,) = chart.margin.series
            for tag in (series.value, series.lower, series.upper):
                have = {name for name, run in runs.items() if tag in run}
                assert {name.partition("=")[0] for name in have} == {pair}
                assert len(have) == 2
    titles = [chart.title for chart in shown.category[0].chart]
    assert titles[::-1][:4] == [
        "homestead, openness 0: acquisition beyond need (exact)",
        "homestead, openness 0: acquisition beyond what the greatest success takes (exact)",
        "homestead, openness 0: acquisition beyond need",
        "homestead, openness 0: competence",
    ]
    # The openness hypothesis is about a share that has no curve: the chart says so.
    assert "no curve of share_beyond_incentive" in shown.category[1].chart[-2].title

    dense = [t for t in GRID if t.cell.reward == "dense" and t.cell.params["openness"] == 2]
    found = runs["reward=dense"][f"{BANDS}/H1a/homestead, openness 2/excess/mean"]
    np.testing.assert_allclose(found, expected(dense, "excess")["mean"], rtol=1e-6)
    found = runs["openness=2"][f"{BANDS}/more|open/homestead, dense/excess/high"]
    np.testing.assert_allclose(found, expected(dense, "excess")["high"], rtol=1e-6)


def test_without_hypotheses_charts_stand_by_kind_and_other_runs_go(tmp_path: Path) -> None:
    opened(tmp_path, OPEN)[1].refresh()
    folder = overview_folder(tmp_path)
    assert {path.name for path in folder.glob("*=*")} == {"openness=0", "openness=2"}
    opened(tmp_path)[1].refresh()
    titles = [category.title for category in layout(cells_folder(tmp_path)).category]
    assert titles == [
        "Density as timing: the same reward, paid later",
        "Openness: more to gain beyond the task",
        "All cells (choose some on the left)",
    ]
    opened(tmp_path, TIMING)[1].refresh()
    assert {path.name for path in folder.glob("*=*")} == {"reward=dense", "reward=every_cap"}


def test_a_study_that_compares_nothing_shows_its_cells(tmp_path: Path) -> None:
    made = make_study({"name": "one", "worlds": [{"id": "homestead"}], "timesteps": 100})
    store = Store(tmp_path)
    store.open(made, trials(made), resume=True)
    Overview(store, trials(made)).refresh()
    assert [path.name for path in logdir(tmp_path).iterdir() if path.is_dir()] == ["homestead"]


def test_hyperparameters_and_means_at_the_end_stand_in_the_cells(tmp_path: Path) -> None:
    store, overview = opened(tmp_path)
    overview.refresh()
    for trial in GRID:
        keep(store, trial)
        overview.ended(trial)
    folder = cells_folder(tmp_path)
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    data = multiplexer.SummaryMetadata(".", metadata.EXPERIMENT_TAG).plugin_data.content
    experiment = metadata.parse_experiment_plugin_data(data)
    domains = {info.name: list(info.domain_discrete) for info in experiment.hparam_infos}
    assert domains == {"openness": [0, 2], "reward": ["dense", "every cap"]}
    metrics = [info.name.tag for info in experiment.metric_infos]
    names = dict.fromkeys((*LEADING, *curve_names(followed_metrics()), "seeds"))
    assert metrics == [f"{END}/{name}" for name in names]
    for trial in GRID[:4]:
        members = [t for t in GRID if t.cell.key == trial.cell.key]
        name = str(cell_folder(tmp_path, trial).relative_to(folder))
        data = multiplexer.SummaryMetadata(name, metadata.SESSION_START_INFO_TAG).plugin_data
        start = metadata.parse_session_start_info_plugin_data(data.content)
        assert start.hparams["openness"].number_value == trial.cell.params["openness"]
        assert set(start.hparams) == set(hyperparameters(trial.cell))
        data = multiplexer.SummaryMetadata(name, metadata.SESSION_END_INFO_TAG).plugin_data
        assert metadata.parse_session_end_info_plugin_data(data.content).status == 1
        for metric in ("competence", "excess"):
            (point,) = multiplexer.Scalars(name, f"{END}/{metric}")
            ends = [synthetic(t)[-1][1][metric] for t in members]
            assert (point.step, point.value) == (100, pytest.approx(np.mean(ends), rel=1e-6))


def test_an_overview_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    store, overview = opened(tmp_path)
    overview.refresh()
    keep(store, GRID[0])
    folder = cell_folder(tmp_path, GRID[0])
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    overview.ended(GRID[0])
    assert folder.read_text() == "in the way"
    folder.unlink()
    overview.ended(GRID[0])
    check(tmp_path, GRID[:1])


def test_cells_are_named_by_what_varies_and_never_alike() -> None:
    cells = [trial.cell for trial in GRID[:4]]
    assert set(run_names(cells).values()) == {
        f"openness={openness}_{reward}" for reward in ("dense", "every_cap") for openness in (0, 2)
    }
    assert list(run_names(cells[:1]).values()) == ["homestead"]
    other = replace(cells[0], world="endgame")
    assert {*run_names([*cells, other]).values()} >= {"endgame", "homestead/openness=0_dense"}
    # No pay for power goes without saying, unless nothing else would be said.
    paid = replace(cells[0], power_weight=1.0)
    assert {*run_names([cells[0], paid]).values()} == {"power_weight=0", "power_weight=1"}
    among = {*run_names([*cells, paid]).values()}
    assert among >= {"openness=0_dense", "openness=0_dense_power_weight=1"}


@pytest.mark.parametrize("name", shipped_studies())
def test_runs_of_shipped_studies_tell_what_varies_and_nothing_more(name: str) -> None:
    cells = list({trial.cell.key: trial.cell for trial in trials(load_study(name))}.values())
    names = run_names(cells)
    assert len(set(names.values())) == len(names) == len(cells)
    # Agents that have other settings differ as agents, unless one agent has several.
    varied = varied_factors([levels_of(cell) for cell in cells])
    for setting in ("net", "n_envs"):
        told = any(f"{setting}=" in name for name in names.values())
        assert f"settings.{setting}" in varied or not told
    assert max(map(len, names.values())) < 120


def test_a_run_s_name_fits_a_folder() -> None:
    cell = GRID[0].cell
    long = [f"a_parameter_with_quite_a_long_name_{i}" for i in range(9)]
    many = [replace(cell, params={**cell.params, **dict.fromkeys(long, x)}) for x in (1, 2)]
    told = run_names(many)
    assert len(set(told.values())) == 2
    assert all(len(name) < 200 for name in (*told.values(), *map(cell_name, many)))


def test_exact_curves_are_shown_first_and_only_where_they_exist() -> None:
    cells = [trial.cell for trial in GRID]
    shown = shown_curves(cells, followed_metrics())
    assert shown[:6] == tuple(
        f"exact.{id}" for id in ("beyond", "free", "precaution", "harmful", "restraint", "acquired")
    )
    assert {"exact.competence", "competence", "return"} <= {*shown}
    assert "exact.return" not in shown  # it has no exact value
    star = [trials(make_study({"name": "s", "worlds": [{"id": "star"}], "timesteps": 9}))[0].cell]
    assert not {"exact.beyond", "exact.disabled"} & {*shown_curves(star, followed_metrics())}
    assert "exact.success" in shown_curves(star, followed_metrics())
    (category,) = categories(cells, make_study_of("precaution").hypotheses, followed_metrics())
    assert category.comparisons[0].measures == ("exact.precaution", "exact.beyond", "competence")


def test_what_is_seen_first_is_competence_and_the_primary_figure(tmp_path: Path) -> None:
    store, overview = opened(tmp_path)
    overview.refresh()
    for trial in GRID:
        keep(store, trial)
        overview.ended(trial)
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(logdir(tmp_path)))
    multiplexer.Reload()
    tags = {tag for run in multiplexer.Runs().values() for tag in run["scalars"]}
    groups: dict[str, set[str]] = {}
    for tag in tags:
        group, _, rest = tag.partition("/")
        groups.setdefault(group, set()).add(rest)
    assert groups[min(groups)] == {*LEADING}
    # No end of a band is a card beside its mean: they are in the last group.
    bands = {tag for tag in tags if tag.endswith(("/low", "/high"))}
    assert bands
    assert {tag.partition("/")[0] for tag in bands} == {max(groups)} == {BANDS}
    # Few runs: single trials lie elsewhere.
    assert set(multiplexer.Runs()) == {
        *(".", *run_names([trial.cell for trial in GRID[:4]]).values()),
        *(f"arms/{arm}" for arm in ("reward=dense", "reward=every_cap")),
        *(f"arms/openness={level}" for level in (0, 2)),
    }
    about = multiplexer.SummaryMetadata("openness=0_dense", "1 main/exact.beyond")
    assert about.summary_description == (
        "Mean over seeds: acquisition beyond what the greatest success takes (exact)"
    )


def test_a_world_s_own_words_stand_in_its_charts() -> None:
    made = make_study(
        {
            "name": "tiny",
            "worlds": [{"id": "dropbox"}],
            "rewards": ["dense", {"every": "cap"}],
            "timesteps": 100,
            "hypotheses": [{**TIMING, "measure": "disabled"}],
        }
    )
    cells = [trial.cell for trial in trials(made)]
    (category,) = categories(cells, made.hypotheses, followed_metrics())
    titles = " ".join(category.comparisons[0].titles)
    assert "a box put in unseen by the camera" in titles
    assert "switch" not in titles


def test_without_resources_what_is_evaded_leads() -> None:
    assert leading_curves(("competence", "disabled", "exact.disabled")) == (
        *("competence", "exact.disabled", "disabled"),
    )
    assert leading_curves(("success", "competence")) == ("competence",)


def make_study_of(measure: str) -> Study:
    return study({**TIMING, "measure": measure})
