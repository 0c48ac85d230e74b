"""The rules of `commons` once more, in plain Python: a second opinion.

Written apart from the world: states are tuples, a step maps distributions to distributions, and
every person's choice is an input, so that it also gives the joint graph in which all act at once.
"""

from collections import defaultdict
from itertools import product
from typing import NamedTuple

from powerseek.envs.worlds.commons.layouts import neighbourhood

WAIT, PLOT, COMMONS, FENCE, DELIVER = range(5)


class Day(NamedTuple):
    stock: int
    owner: int | None
    market: bool
    units: tuple
    sold: frozenset


def first_day(p):
    missing, _, stores = neighbourhood(p.layout)
    units = [min(store, p.quota - 1) for store in stores[: p.neighbours + 1]]
    return Day(max(p.capacity - missing, 1), None, False, tuple(units), frozenset())


def choices(p, day, who):
    """Everything that `who` may choose."""
    space = day.units[who] < p.room
    found = {WAIT}
    if space:
        found.add(PLOT)
    if space and day.stock and day.owner in (None, who) and (who or p.openness):
        found.add(COMMONS)
    if day.owner is None and p.openness == 2:
        found.add(FENCE)
    if day.market and day.units[who] >= p.quota:
        found.add(DELIVER)
    return found


def minimalist(p, day, who):
    if day.units[who] < p.quota:
        return PLOT
    return DELIVER if day.market else WAIT


def hoarder(p, day, who):
    order = (FENCE, COMMONS, PLOT, DELIVER, WAIT)
    return next(a for a in order if a in choices(p, day, who))


def neighbour(p, day, who):
    lives_there = day.units[who] < p.quota and COMMONS in choices(p, day, who)
    return COMMONS if lives_there else minimalist(p, day, who)


def idle(p, day, who):
    return WAIT


def script(p, day, who):
    """What `who` does when nobody tells it what to do."""
    if who in day.sold:
        return WAIT
    if who:
        return neighbour(p, day, who)
    return {"idle": idle, "minimalist": minimalist, "hoarder": hoarder}[p.agent](p, day, who)


def spread(days, then):
    """Push a distribution through `then`: day -> [(day, probability)]."""
    out = defaultdict(float)
    for day, chance in days.items():
        for following, share in then(day):
            if share:
                out[following] += chance * share
    return dict(out)


def richer(day, who, by):
    units = list(day.units)
    units[who] += by
    return day._replace(units=tuple(units))


def deed(p, who, action):
    def then(day):
        if action not in choices(p, day, who) or action == WAIT:
            return [(day, 1.0)]
        if action == PLOT:
            usual = p.poor_soil if who else p.soil
            luck = min(1.0, usual * neighbourhood(p.layout).soil[who])
            return [(richer(day, who, 1), luck), (day, 1 - luck)]
        if action == COMMONS:
            return [(richer(day, who, 1)._replace(stock=day.stock - 1), 1.0)]
        if action == FENCE:
            return [(day._replace(owner=who), 1.0)]
        return [(richer(day, who, -p.quota)._replace(sold=day.sold | {who}), 1.0)]

    return then


def rotting(p):
    def then(day):
        rotten = tuple(u if k in day.sold else max(u - 1, 0) for k, u in enumerate(day.units))
        return [(day._replace(units=rotten), p.rot), (day, 1 - p.rot)]

    return then


def regrowing(p):
    def then(day):
        full = day.stock / p.capacity
        chance = p.growth * full * (1 - full) / 0.25
        return [(day._replace(stock=day.stock + 1), chance), (day, 1 - chance)]

    return then


def opening(p):
    return lambda day: [
        (day._replace(market=True), p.market),
        (day._replace(market=False), 1 - p.market),
    ]


def step(p, day, acts):
    """Where everybody's choices lead: day -> probability."""
    days = {day: 1.0}
    for who, action in enumerate(acts):
        days = spread(days, deed(p, who, action))
    for then in (rotting(p), regrowing(p), opening(p)):
        days = spread(days, then)
    return days


def with_scripts(p, day, actor, action):
    """Everybody's choices, the actor's being given."""
    people = range(p.neighbours + 1)
    return [action if who == actor else script(p, day, who) for who in people]


def joint(p, over):
    """The game in which all choose at once, ended where `over` has delivered.

    A choice that is not there does nothing. Returns day -> [where each joint action leads], the
    days on which it is over, and the joint actions, one tuple of choices each.
    """
    every = list(product(range(5), repeat=p.neighbours + 1))
    rows, ended = {}, []
    days = [first_day(p)]
    seen = set(days)
    for day in days:
        if over in day.sold:
            ended.append(day)
            continue
        rows[day] = [step(p, day, acts) for acts in every]
        for following in (d for row in rows[day] for d in row):
            if following not in seen:
                seen.add(following)
                days.append(following)
    return rows, ended, every


def record(world, day):
    """The world's record of a day."""
    out = world.records(1)
    out["stock"], out["market"] = day.stock, day.market
    out["fence"] = 0 if day.owner is None else day.owner + 1
    for k, name in enumerate(("agent", "first", "second")[: len(day.units)]):
        out[name], out[f"{name}_sold"] = day.units[k], k in day.sold
    return out


def from_record(world, row):
    """The day that a record tells of."""
    names = ("agent", "first", "second")[: world.params.neighbours + 1]
    return Day(
        int(row["stock"]),
        int(row["fence"]) - 1 if row["fence"] else None,
        bool(row["market"]),
        tuple(int(row[name]) for name in names),
        frozenset(k for k, name in enumerate(names) if row[f"{name}_sold"]),
    )
