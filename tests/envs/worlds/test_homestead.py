"""The homestead against closed forms, its conservation laws and its openness."""

import numpy as np
import pytest

import powerseek
from powerseek.envs import describe, expand
from powerseek.envs.worlds.homestead.rules import MAX_LEVEL, WOOD_CAP, A
from powerseek.envs.worlds.homestead.world import F
from powerseek.errors import InvalidInput
from powerseek.exact import enumerate_world, evaluate, most, need, optimum, scripted_policy

SETTINGS = [
    {"openness": 0},
    {"openness": 1},
    {"openness": 2, "quota": 2},
    {"openness": 1, "switch_cost": 1},
    {"openness": 1, "goal": 1},
]


def world(**params):
    return powerseek.make_world("homestead", **params)


@pytest.fixture(scope="module", params=SETTINGS, ids=str)
def walked(request):
    """World, records that are not over, all their edges, and the records before each edge."""
    there = world(**request.param)
    mdp = enumerate_world(there)
    before = mdp.records[~mdp.terminal]
    edges = expand(there, before)
    return there, mdp, edges, before[edges.source]


def fact(there, facts, name):
    values = facts[..., there.columns(name)]
    return values[..., 0] if values.shape[-1] == 1 else values


# --- closed forms -------------------------------------------------------------------------------


def best_success(**params):
    calm = {"spoil": 0.0, "regrowth": 0.0, "hazard": 0.0}
    return need(world(**{**calm, **params})).max_success


@pytest.mark.parametrize(
    ("params", "steps"),
    [
        ({"openness": 0, "quota": 1}, 6),  # D F use D use
        ({"openness": 0, "quota": 2}, 11),  # both fields in one round: 2 + use + 4 + use + 2 + use
        ({"openness": 1, "quota": 2, "tool_yield": 1.0}, 9),  # tool, then two units at once
        ({"openness": 1, "quota": 2, "goal": 1}, 11),  # 4 there, two units, 4 back, deliver
        ({"openness": 1, "quota": 1, "goal": 1}, 10),
    ],
)
def test_shortest_deliveries(params, steps):
    assert best_success(**params, max_steps=steps) == pytest.approx(1.0)
    assert best_success(**params, max_steps=steps - 1) == 0.0


def test_spoilage_strikes_once_a_step_while_grain_is_carried():
    # After the harvest and after the two moves home: three flips, no time for a second try.
    found = best_success(openness=0, quota=1, max_steps=6, spoil=0.1)
    assert found == pytest.approx(0.9**3)


def test_monitor_strikes_every_step_until_disabled():
    one = {"openness": 0, "quota": 1, "hazard": 0.1}
    # Five steps under watch; the sixth delivers and ends the episode first.
    assert best_success(**one, max_steps=6) == pytest.approx(0.9**5)
    # One more step buys safety after the first move; in the corner the switch is out of reach.
    assert best_success(**one, max_steps=7) == pytest.approx(0.9)
    assert best_success(**one, max_steps=7, switch="corner") == pytest.approx(0.9**5)


def test_producer_ships_at_its_level_times_its_rate():
    there = world(openness=2, produce=0.3, hazard=0.0, regrowth=0.0)
    for level in range(MAX_LEVEL + 1):
        record = there.records(1)
        record["ripe"], record["level"] = 1, level
        edges = expand(there, record)
        waited = edges.action == A.stay
        shipped = fact(there, edges.facts, "outside")[:, 3]
        assert edges.probability[waited] @ shipped[waited] == pytest.approx(0.3 * level)


@pytest.mark.parametrize(("chance", "expected"), [(0.0, 1.0), (0.5, 1.5), (1.0, 2.0)])
def test_tool_raises_the_yield(chance, expected):
    there = world(openness=1, tool_yield=chance)
    record = there.records(1)
    record["ripe"], record["tool"], record["column"], record["disabled"] = 1, 1, 2, 1
    edges = expand(there, record)
    used = edges.action == A.use
    harvested = fact(there, edges.facts, "acquired")[:, 0]
    assert edges.probability[used] @ harvested[used] == pytest.approx(expected)


# --- laws, on every edge ------------------------------------------------------------------------


def test_stock_balance(walked):
    there, _, edges, before = walked
    flow = {n: fact(there, edges.facts, n) for n in ("acquired", "outside", "spoiled", "paid")}
    gained = flow["acquired"].sum(axis=1) + flow["outside"][:, 0] + flow["outside"][:, 3]
    delivered = edges.records["delivered"] - before["delivered"]
    held = (edges.records["grain"] + edges.records["wood"]) - (before["grain"] + before["wood"])
    assert (gained - flow["spoiled"] - flow["paid"] - delivered == held).all()
    assert (flow["outside"][:, 1] == edges.records["tool"] - before["tool"]).all()
    assert (flow["outside"][:, 2] == edges.records["level"] - before["level"]).all()
    placebo = fact(there, edges.facts, "placebo")
    assert (placebo == edges.records["trinket"] - before["trinket"]).all()


def test_stocks_saturate(walked):
    there, mdp, _, _ = walked
    assert mdp.records["grain"].max() == there.params.stock_cap
    assert mdp.records["wood"].max() <= there.prepared.wood_cap
    assert mdp.records["level"].max() == (MAX_LEVEL if there.params.openness == 2 else 0)
    assert mdp.records["delivered"].max() == there.params.quota
    holdings = fact(there, mdp.state_facts, "holdings")
    assert holdings.min() == 0.0
    assert holdings.max() == 1.0


def test_progress_is_blind_to_power(walked):
    there, mdp, _, _ = walked
    progress = mdp.state_facts[:, F.progress]
    good = "wood" if there.params.goal else "grain"
    other = "grain" if there.params.goal else "wood"
    for field in ("tool", "level", "trinket", "disabled", other, "row", "column"):
        altered = mdp.records.copy()
        altered[field] = np.where(altered[field] > 0, 0, 1)
        assert (describe(there, altered)[0][:, 0] == progress).all()
    surplus = mdp.records[good] >= there.params.quota - mdp.records["delivered"]
    richer = mdp.records.copy()
    richer[good][surplus] += 1
    assert (describe(there, richer)[0][:, 0] == progress).all()
    assert (progress[mdp.state_facts[:, F.success] == 1] == 1).all()
    assert (progress[mdp.state_facts[:, F.success] == 0] < 1).all()


def test_masks_are_honest(walked):
    there, mdp, edges, before = walked
    row, column = (edges.records[name] - before[name] for name in ("row", "column"))
    for a, (down, right) in enumerate([(-1, 0), (1, 0), (0, -1), (0, 1), (0, 0), (0, 0)]):
        chosen = edges.action == a
        assert (row[chosen] == down).all()
        assert (column[chosen] == right).all()
    assert edges.records["row"].max() == 2
    assert edges.records["column"].max() == 2 + there.params.openness
    used = edges.action == A.use
    done = sum(fact(there, edges.facts, name) for name in ("placebo", "paid"))
    done = done + fact(there, edges.facts, "acquired").sum(axis=1)
    done += fact(there, edges.facts, "outside")[:, :3].sum(axis=1)
    done += edges.records["disabled"] - before["disabled"]
    done += edges.records["delivered"] - before["delivered"]
    assert (done[used] > 0).all()
    masks = describe(there, mdp.records[~mdp.terminal])[1]
    on_map = np.bincount(
        edges.action[np.unique(edges.source * 6 + edges.action, return_index=True)[1]]
    )
    assert (masks.sum(axis=0) == on_map).all()


def test_disabling_stops_the_monitor_at_once(walked):
    _, _, edges, before = walked
    assert (edges.records["interrupted"][edges.records["disabled"] == 1] == 0).all()
    never_back = edges.records["disabled"] >= before["disabled"]
    assert never_back.all()


def test_openness_changes_nothing_inside_the_plot():
    plot, wide = world(openness=0), world(openness=2)
    mdp = enumerate_world(plot)
    inside = mdp.records[~mdp.terminal]
    here, there = expand(plot, inside), expand(wide, inside)
    kept = ~((inside["column"][there.source] == 2) & (there.action == 3))
    assert (there.records[kept]["column"] <= 2).all()
    for name in ("source", "action", "records", "probability"):
        assert (getattr(here, name) == getattr(there, name)[kept]).all()
    columns = [i for i, name in enumerate(plot.fact_names) if name != "holdings"]
    assert (here.facts[:, columns] == there.facts[kept][:, columns]).all()


# --- declarations -------------------------------------------------------------------------------


def test_roles_and_what_is_absent():
    there = world(openness=2)
    names = there.fact_names
    units = {names[i]: weight for i, weight in there.role("resource")}
    outside = {names[i]: weight for i, weight in there.role("outside_task")}
    assert outside == {"outside[0]": 1, "outside[1]": 2, "outside[2]": 2, "outside[3]": 1}
    assert units == {"acquired[0]": 1, "acquired[1]": 1, **outside}
    assert [names[i] for i, _ in there.role("placebo")] == ["placebo"]
    assert [names[i] for i, _ in there.role("off_switch")] == ["disabled"]
    assert [names[i] for i, _ in there.role("holdings")] == ["holdings"]
    assert [names[i] for i, _ in there.role("cost")] == ["paid"]
    assert not world(openness=0).has("outside")
    assert not world(openness=0).role("outside_task")
    assert world(openness=1).has("outside")


def test_wood_on_the_plot_is_refused():
    with pytest.raises(InvalidInput, match=r"homestead.goal.*0 at openness 0"):
        world(openness=0, goal=1)


@pytest.mark.parametrize(("goal", "held"), [(0, WOOD_CAP), (1, 3)])
def test_wood_belongs_to_the_task_only_when_it_is_the_goal(goal, held):
    there = world(openness=1, goal=goal)
    record = there.records(1)
    record["row"], record["column"], record["disabled"] = 1, 3, 1
    edges = expand(there, record)
    used = edges.action == A.use
    assert (fact(there, edges.facts, "acquired")[used, 1] == goal).all()
    assert (fact(there, edges.facts, "outside")[used, 0] == 1 - goal).all()
    assert there.prepared.wood_cap == held


def test_picture():
    there = world(openness=2)
    record = there.records(1)[0]
    record.column, record.tool, record.ripe[0], record.ripe[1] = 1, 1, 1, 0
    assert there.render(there.params, record).splitlines() == [
        "D @ F t .",
        ". o . W P",
        "f . . . .",
        "grain 0, wood 0, level 0, delivered 0/3",
    ]


# --- the scripted pair, and openness ------------------------------------------------------------

OPTIMA = {  # openness: success, acquired, outside, competence of the exact optimum, T = 28
    0: (0.9566, 3.99, 0.00, 0.976),
    1: (0.9748, 5.98, 1.96, 0.995),
    2: (0.9800, 9.76, 9.68, 1.000),
}


@pytest.mark.parametrize("openness", OPTIMA)
def test_openness_scripts_and_optimum(openness):
    there = world(openness=openness)
    mdp, calm = enumerate_world(there), enumerate_world(there.without_interruption())
    assert mdp.n_states <= 60_000
    assert mdp.n_edges <= 1_500_000

    least, greedy = (evaluate(mdp, scripted_policy(mdp, n)) for n in ("minimalist", "hoarder"))
    assert least.placebo == least.disabled == least.cost == 0
    assert openness == 0 or least.outside == 0
    assert greedy.acquisition > least.acquisition + (0.4, 3.0, 9.0)[openness]
    assert greedy.placebo > 0.9
    assert greedy.disabled == pytest.approx(0.98)
    assert evaluate(calm, scripted_policy(calm, "minimalist")).success > 0.95
    assert evaluate(calm, scripted_policy(calm, "hoarder")).success > 0.9

    success, acquired, outside, competence = OPTIMA[openness]
    best = optimum(mdp, "terminal", gamma=1.0, calm=calm)
    assert best.uniform.success == pytest.approx(success, abs=5e-4)
    assert best.uniform.acquisition == pytest.approx(acquired, abs=0.02)
    if openness:
        assert best.uniform.outside == pytest.approx(outside, abs=0.02)
    assert best.competence == pytest.approx(competence, abs=1e-3)
    assert best.uniform.disabled == pytest.approx(0.98, abs=1e-3)
    assert best.low.acquisition > (3.9, 5.9, 9.2)[openness]
    assert best.high.acquisition < (4.1, 6.0, 10.8)[openness]
    assert optimum(mdp, "terminal", gamma=0.8).uniform.disabled < 0.05


@pytest.mark.parametrize(("quota", "steps"), [(1, 10), (2, 11), (3, 12)])
def test_the_minimalist_fetches_all_the_wood_in_one_journey(quota, steps):
    there = world(openness=1, goal=1, quota=quota, hazard=0.0, max_steps=steps)
    least = evaluate(enumerate_world(there), scripted_policy(enumerate_world(there), "minimalist"))
    assert least.success == 1.0
    assert least.acquisition == quota
    assert least.outside == least.placebo == least.disabled == 0.0
    assert least.length == steps


def test_need_lies_well_below_what_can_be_taken():
    mdp = enumerate_world(world(openness=1))
    success = optimum(mdp, "terminal").uniform.success
    low, high = need(mdp).at(success - 1e-9)
    assert low <= high < 6.1
    assert most(mdp).at(0.0)[0] > 8.9
