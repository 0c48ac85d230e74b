"""Levels of a contrast that make a comparison, in one setting of a study or of its results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from powerseek.envs.rewards.priced import TOO
from powerseek.envs.rewards.spec import Place, Restraint
from powerseek.envs.rewards.timing import CORRECTED
from powerseek.errors import PowerseekError
from powerseek.experiments.study.contrasts import ONE_ARM, Contrast
from powerseek.experiments.study.factors import PREFIX, Level, level_in, level_rank, ordered
from powerseek.registry import agents

Arms: TypeAlias = tuple[Level, Level]
RISING = {"specification": "coverage", "labels": "labels"}
"""Kinds whose levels are compared with the least, and the factors of rewards that they go along."""
Places: TypeAlias = Mapping[str, Place]
"""Where rewards lie on the factors of rewards, by label; of those that lie on one."""


def arm_pairs(name: str, values: Iterable[Level], places: Places) -> list[Arms]:
    """Pairs (a, b) of levels of a kind's factor to compare, b the one compared with.

    Args:
        name: Kind of comparison.
        values: What the factor takes in one setting; rewards as results write them.
        places: Of the rewards.
    """
    known = _known(values)
    if name in ONE_ARM:
        return []  # Of one arm, which a hypothesis names: see `primary_arm_pairs`.
    if name == "timing":
        delayed = [(v, undelayed_reward(v, known, places)) for v in known if _delay(v, places) > 1]
        return [(v, at_once) for v, at_once in delayed if at_once is not None]
    if name == "sparse":
        return [("terminal", "dense")] if {"terminal", "dense"} <= set(known) else []
    if name in RISING:
        return [
            (more, own[0])
            for own in reward_families(RISING[name], known, places)
            for more in own[1:]
        ]
    if name == "lookahead":
        return [
            (h, own[-1]) for own in reward_families("lookahead", known, places) for h in own[:-1]
        ]
    if name == "noise":
        return [(s, own[0]) for own in noise_families(known, places) for s in own[1:]]
    if name == "aim":
        return _aim_pairs(known, places)
    if name == "price":
        return [(c, own[0]) for own in price_families(known, places) for c in own[1:]]
    if name == "constraint":
        return [(x, own[0]) for own in constraint_families(known, places) for x in own[1:]]
    if name == "placebo":
        return _placebo_pairs(known, places)
    levels = ordered(known)
    if name == "control":
        return [(w, 0.0) for w in levels if (level_rank(w) or 0) > 0 and 0.0 in levels]
    return [(value, levels[0]) for value in levels[1:]]


def primary_arm_pairs(
    name: str,
    values: Iterable[Level],
    places: Places,
    gamma: float = 1.0,
    arm: Level = None,
) -> list[Arms]:
    """The pairs that a hypothesis is about: the two ends of the factor.

    For timing the longest delay, at gamma 1 or discount-corrected: else paying later also pays
    less. Several only where a setting holds several overseers (aim, price), or rewards that a
    price or a constraint is put on.

    Args:
        name: Kind of comparison.
        values: What the factor takes in one setting.
        places: Of the rewards.
        gamma: The setting's discount.
        arm: The arm that a level is about; its pair is (arm, None).
    """
    known = _known(values)
    if name in ONE_ARM:
        return [(arm, None)] if arm in known else []
    pairs = arm_pairs(name, known, places)
    if name == "timing":
        fair = [pair for pair in pairs if not confounded(pair[0], places, gamma)]

        def latest(pair: Arms) -> tuple[float, bool]:
            return -_delay(pair[0], places), _is_corrected(pair[0], places)

        return sorted(fair, key=latest)[:1]
    if name in RISING:
        return [(own[-1], own[0]) for own in reward_families(RISING[name], known, places)]
    if name == "lookahead":
        return [(own[0], own[-1]) for own in reward_families("lookahead", known, places)]
    if name == "price":
        return [(own[-1], own[0]) for own in price_families(known, places)]
    if name == "noise":
        return [(own[-1], own[0]) for own in noise_families(known, places)]
    if name == "constraint":
        found = constraint_families(known, places)
        return [(own[-1], own[0]) for own in found if not _is_placebo(own[-1], places)]
    if name == "placebo":
        return _strongest(pairs, places)
    return pairs if name == "aim" else pairs[-1:]


def factor_scales(
    columns: Sequence[str], records: Iterable[Mapping[str, Level]]
) -> list[list[Level]]:
    """Every level of some factors in a world, rising; empty where they have no order.

    Of two factors only levels that the world crosses with two or more of the other.

    Args:
        columns: The columns of the factors.
        records: The levels of each of the world's cells, by column.
    """
    found = dict.fromkeys(tuple(record.get(column) for column in columns) for record in records)
    if len(columns) == 2:
        for side in (0, 1):
            others: dict[Level, set[Level]] = {}
            for levels in found:
                others.setdefault(levels[side], set()).add(levels[1 - side])
            found = {levels: None for levels in found if len(others[levels[side]]) > 1}
    return [ordered(levels[i] for levels in found) for i in range(len(columns))]


def arms_compared(
    contrast: Contrast,
    levels: Iterable[Any],
    places: Places,
    *,
    columns: Sequence[str],
    scales: Sequence[Sequence[Level]] = (),
    gamma: float = 1.0,
    arm: Level = None,
) -> list[tuple[Any, ...]]:
    """The comparisons of a contrast in one setting: the levels of each one's arms.

    Args:
        contrast: The contrast.
        levels: What its factor takes in the setting; of an interaction both levels of each cell.
        places: Of the rewards.
        columns: The columns that differ.
        scales: Of each of these its levels in the world, from `factor_scales`.
        gamma: The setting's discount.
        arm: The arm that a level is about.

    Returns:
        (a, b) for most; of an interaction (high, high), (low, high), (high, low), (low, low); of a
        threshold all levels, rising.
    """
    known = list(levels)
    if contrast.of_factor:
        low, high = (
            scale[end] if given is None else level_in(columns[0], given)
            for given, end, scale in (
                (contrast.low, 0, scales[0] or (None,)),
                (contrast.high, -1, scales[0] or (None,)),
            )
        )
        return [(high, low)] if low in known and high in known and low != high else []
    if contrast.name == "interaction":
        if not all(len(scale) > 1 for scale in scales):
            return []
        (low, high), (least, most) = ((scale[0], scale[-1]) for scale in scales)
        corners = (high, most), (low, most), (high, least), (low, least)
        return [corners] if set(corners) <= set(known) else []
    if contrast.name == "threshold":
        rising = ordered(known)
        return [tuple(rising)] if len(rising) > 1 else []
    return list(primary_arm_pairs(contrast.kind, known, places, gamma, arm))


def confounded(reward: Level, places: Places, gamma: float) -> bool:
    """True if a delayed reward also pays less because of the discount."""
    return gamma < 1 and not _is_corrected(reward, places)


def without_timing(place: Place | None) -> Place | None:
    """The place of a reward but for when it pays; None of one that is not on timing.

    Rewards that share it pay the same in an episode, undiscounted.
    """
    if place is None or place.factor != "timing":
        return None
    return place._replace(level=0.0, family=_uncorrected(place))


def blind_to_timing(agent: str, gamma: float) -> bool:
    """True if an agent learns from undiscounted returns of whole episodes alone.

    Of one that is not known here nothing is said.
    """
    try:
        return gamma == 1.0 and bool(agents.get(agent).whole_episodes)
    except PowerseekError:  # a plugin's whose results are here and which is not
        return False


def differ_at_play(agent: str, columns: Iterable[str]) -> bool:
    """True if one of the columns is a setting by which an agent plays and not how it is trained.

    Arms along it have the same weights, bit for bit. Of an agent not known here nothing is said.
    """
    try:
        aside = agents.get(agent).aside
    except PowerseekError:  # a plugin's whose results are here and which is not
        return False
    return any(f"{PREFIX['agent']}{name}" in columns for name in aside)


def unseen_timing(
    seen: Iterable[tuple[str, str, float]], places: Places
) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Rewards that are one treatment for an agent, which learns from whole episodes.

    Args:
        seen: Agent id, label of the reward and gamma of every cell.
        places: Of the rewards.

    Yields:
        The agent, those rewards, and a sentence about them without its full stop.
    """
    labels: dict[tuple[str, Place], dict[str, None]] = {}
    for agent, label, gamma in seen:
        paid = without_timing(places.get(label))
        if paid is not None and blind_to_timing(agent, gamma):
            labels.setdefault((agent, paid), {})[label] = None
    for (agent, _), alike in labels.items():
        if len(alike) > 1:
            yield (
                agent,
                tuple(alike),
                f"{' and '.join(alike)} are one treatment for {agent}, bit for bit: it learns from "
                "the returns of whole episodes, and at gamma 1 it changes nothing when they are "
                "paid",
            )


def _uncorrected(place: Place) -> str:
    """The family of a place, whether discount is made up for or not."""
    return place.family.removesuffix(CORRECTED).removesuffix(", ")


def coverage_of(reward: Level, places: Places) -> float:
    """The q of a reward on the factor ``coverage``; nan for one that is on none."""
    place = _place(reward, places)
    return place.level if place is not None and place.factor == "coverage" else float("nan")


def reward_families(factor: str, values: Iterable[Level], places: Places) -> list[list[Level]]:
    """Rewards along a factor, level rising: one list for each family, two or more long.

    Coverage 0 and terminal are one treatment: neither knows an overseer, so it is the low end for
    all families of coverage at its own price and constraint; these differ within no family. So are
    no labels, which know no price either.
    """
    known = [v for v in _known(values) if (p := _place(v, places)) and p.factor == factor]
    bare = [v for v in known if factor in RISING.values() and places[str(v)].level == 0]
    ends = sorted(bare, key=_is_terminal, reverse=True)
    none = {(places[str(v)].price, places[str(v)].restraint): v for v in ends}
    found: dict[tuple[Any, ...], dict[float, Level]] = {}
    for value in known:
        place = places[str(value)]
        if value not in bare:
            price = 0.0 if factor == RISING["labels"] else place.price
            low = none.get((price, place.restraint))
            found.setdefault(place.line, {} if low is None else {0.0: low})[place.level] = value
    return [[own[at] for at in sorted(own)] for own in found.values() if len(own) > 1]


def noise_families(values: Iterable[Level], places: Places) -> list[list[Level]]:
    """Rewards whose overseers differ in noise alone, noise rising: one list a family, two long."""
    found: dict[Place, dict[float, Level]] = {}
    for value in _known(values):
        if (place := _place(value, places)) is not None:
            found.setdefault(place._replace(noise=0.0), {})[place.noise] = value
    return [[own[at] for at in sorted(own)] for own in found.values() if len(own) > 1]


def price_families(values: Iterable[Level], places: Places) -> list[list[Level]]:
    """Rewards that differ in price alone, price rising: one list a family, two or more long.

    The aim ``need`` without a price is ``success``, the low end for it.
    """
    known = [v for v in _known(values) if _place(v, places)]
    found: dict[Place, dict[float, Level]] = {}
    for value in sorted(known, key=lambda v: places[str(v)].price):
        place = places[str(value)]
        found.setdefault(place._replace(price=0.0), {})[place.price] = value
    for place, own in found.items():
        free = found.get(_success(place), {}).get(0.0)
        if 0.0 not in own and free is not None:
            own[0.0] = free
    return [[own[at] for at in sorted(own)] for own in found.values() if len(own) > 1]


def constraint_families(values: Iterable[Level], places: Places) -> list[list[Level]]:
    """Rewards that differ in a constraint's strength alone, rising: one list a family, two long.

    The same reward without a constraint is the low end of every kind of it, placebos too.
    """
    by_place = _by_place(values, places)
    found: dict[Place, dict[float, Level]] = {}
    for place, value in by_place.items():
        if not place.restraint.strength:
            continue
        free = by_place.get(place._replace(restraint=Restraint()))
        line = place._replace(restraint=place.restraint._replace(strength=0.0))
        own = found.setdefault(line, {} if free is None else {0.0: free})
        own[place.restraint.strength] = value
    return [[own[at] for at in sorted(own)] for own in found.values() if len(own) > 1]


def _placebo_pairs(values: Iterable[Level], places: Places) -> list[Arms]:
    """Every constrained reward and the same under a placebo of equal strength, where both are."""
    by_place = _by_place(values, places)
    found = []
    for place, value in by_place.items():
        placebo = place._replace(restraint=place.restraint._replace(placebo=True))
        if not place.restraint.placebo and placebo in by_place and place.restraint.strength:
            found.append((value, by_place[placebo]))
    return found


def _strongest(pairs: Iterable[Arms], places: Places) -> list[Arms]:
    """Of pairs of constrained rewards, the one of the greatest strength in each family."""
    found: dict[Place, Arms] = {}
    for pair in sorted(pairs, key=lambda pair: places[str(pair[0])].restraint.strength):
        place = places[str(pair[0])]
        found[place._replace(restraint=place.restraint._replace(strength=0.0))] = pair
    return list(found.values())


def _by_place(values: Iterable[Level], places: Places) -> dict[Place, Level]:
    """Rewards by their place; of several on one, the shortest name: `terminal`, not ``aup 0``."""
    known = sorted((v for v in _known(values) if _place(v, places)), key=lambda v: -len(str(v)))
    return {places[str(value)]: value for value in known}


def _is_placebo(value: Level, places: Places) -> bool:
    return places[str(value)].restraint.placebo


def _aim_pairs(values: Iterable[Level], places: Places) -> list[Arms]:
    """Every reward of another aim, and the same with the aim ``success``.

    ``need`` brings its price: what it is compared with has none.
    """
    by_place = {place: v for v in _known(values) if (place := _place(v, places))}
    found = []
    for place, value in by_place.items():
        free = place._replace(price=0.0) if place.aim == "need" else place
        if place.aim not in ("", "success") and (base := free._replace(aim="success")) in by_place:
            found.append((value, by_place[base]))
    return found


def _success(place: Place) -> Place:
    """What a place is without a price: an overseer who weighs it wants success alone."""
    family = place.family.removeprefix(TOO).removeprefix(", ")
    aim = "success" if place.aim == "need" else place.aim
    return place._replace(family=family, aim=aim, price=0.0)


def _is_terminal(value: Level) -> bool:
    return str(value).startswith("terminal")


def undelayed_reward(reward: Level, values: Iterable[Level], places: Places) -> Level:
    """The same reward paid at once, where it is among some; corrected for discount or not."""
    place = places[str(reward)]
    for family in dict.fromkeys((place.family, _uncorrected(place))):
        for value in values:
            other = _place(value, places)
            if other is None or other.level > 1:
                continue
            if other == place._replace(level=other.level, family=family):
                return value
    return None


def _place(value: Level, places: Places) -> Place | None:
    return places.get(str(value))


def _delay(value: Level, places: Places) -> float:
    """Steps between payments; 0 of what is on no factor of timing."""
    place = _place(value, places)
    return place.level if place is not None and place.factor == "timing" else 0.0


def _is_corrected(value: Level, places: Places) -> bool:
    place = _place(value, places)
    return place is not None and place.family.endswith(CORRECTED)


def _known(values: Iterable[Level]) -> list[Level]:
    """Each value once, in order; missing ones (None, nan) left out."""
    return list(dict.fromkeys(v for v in values if v is not None and v == v))
