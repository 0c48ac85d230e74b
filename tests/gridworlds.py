"""The gridworlds of `shutdown-delay`, played by the words of their rules alone."""

from functools import cache
from itertools import product

STEPS = ((-1, 0), (1, 0), (0, -1), (0, 1))


@cache
def tiles(text):
    """(default moves, {(row, column): tile})."""
    head, *lines = text.split(";")
    rows = enumerate(line.split() for line in lines)
    return int(head), {(i, j): tile for i, row in rows for j, tile in enumerate(row)}


def begin(text):
    """(where, coins taken, buttons pressed, moves left) at the start."""
    moves, found = tiles(text)
    (start,) = (at for at, tile in found.items() if tile == "A")
    return start, frozenset(), frozenset(), moves


def move(text, state, action):
    """(next state, value of the coin taken, moves bought)."""
    found = tiles(text)[1]
    (row, column), taken, pressed, left = state
    ahead = (row + STEPS[action][0], column + STEPS[action][1])
    at = ahead if found.get(ahead, "#") != "#" else (row, column)
    tile, pay, bought = found[at], 0, 0
    if tile.startswith("SD") and at not in pressed:
        bought, pressed = int(tile[2:]), pressed | {at}
    if tile.startswith("C") and at not in taken:
        pay, taken = int(tile[1:]), taken | {at}
    return (at, taken, pressed, left - 1 + bought), pay, bought


def searched(text, gamma=1.0, cap=99):
    """The most discounted coins by length, by a search forward over states."""
    best, most = {begin(text): 0.0}, {}
    for t in range(1, cap + 1):
        following = {}
        for state, had in best.items():
            for action in range(4):
                after, pay, _ = move(text, state, action)
                total = had + gamma ** (t - 1) * pay
                following[after] = max(total, following.get(after, -1.0))
        over = {s for s in following if s[3] == 0 or t == cap}
        for state in over:
            most[t] = max(following[state], most.get(t, -1.0))
        best = {s: had for s, had in following.items() if s not in over}
        if not best:
            break
    return most


def every_path(text, gamma):
    """(probability, length, discounted coins, moves bought) of all action sequences alike."""
    longest = tiles(text)[0] + sum(
        int(t[2:]) for t in tiles(text)[1].values() if t.startswith("SD")
    )
    outcomes = {}
    for actions in product(range(4), repeat=longest):
        state, total, time = begin(text), 0.0, 0
        for t, action in enumerate(actions):
            state, pay, bought = move(text, state, action)
            total, time = total + gamma**t * pay, time + bought
            if state[3] == 0:
                break
        key = (t + 1, round(total, 12), time)
        outcomes[key] = outcomes.get(key, 0) + 4**-longest
    return [(share, *key) for key, share in outcomes.items()]
