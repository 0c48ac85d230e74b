"""The endgame's rules once more, in plain Python on (row, column) pairs: a second opinion.

Written apart from the world: attacks are looked up from the target outwards, and the solver
counts unsolved replies over a graph of positions instead of sweeping tables.
"""

from collections import defaultdict, deque
from typing import NamedTuple

ROOK = ((1, 0), (0, 1), (-1, 0), (0, -1))
BISHOP = ((1, 1), (-1, 1), (-1, -1), (1, -1))


class Position(NamedTuple):
    size: int
    main_moves: tuple
    king: tuple
    main: tuple | None
    pawn: tuple | None
    queen: tuple | None
    black: tuple
    loose: frozenset

    def white(self):
        return [x for x in (self.king, self.main, self.pawn, self.queen) if x is not None]


def inside(position, square):
    return all(0 <= x < position.size for x in square)


def add(square, step, times=1):
    return square[0] + times * step[0], square[1] + times * step[1]


def touching(a, b):
    return max(abs(a[0] - b[0]), abs(a[1] - b[1])) <= 1


def guarded(position, target):
    """Does White attack `target`, were Black's king not on the board?"""
    if position.king != target and touching(position.king, target):
        return True
    if position.pawn is not None and target in (
        add(position.pawn, (1, 1)),
        add(position.pawn, (1, -1)),
    ):
        return True
    for step in ROOK + BISHOP:
        square = add(target, step)
        while inside(position, square) and square not in (*position.white(), *position.loose):
            square = add(square, step)
        if square == position.main and step in position.main_moves:
            return True
        if square == position.queen:
            return True
    return False


def white_moves(position):
    """[(piece, target, position after)], Black to move."""
    found = []

    def go(piece, target, **changes):
        after = position._replace(loose=position.loose - {target}, **changes)
        found.append((piece, target, after))

    own = position.white()
    for step in ROOK + BISHOP:
        target = add(position.king, step)
        if inside(position, target) and target not in own and not touching(target, position.black):
            go("king", target, king=target)
    for piece, steps in (("main", position.main_moves), ("queen", ROOK + BISHOP)):
        square = getattr(position, piece)
        for step in steps if square is not None else ():
            target = add(square, step)
            while inside(position, target) and target not in (*own, position.black):
                go(piece, target, **{piece: target})
                if target in position.loose:
                    break
                target = add(target, step)
    if position.pawn is not None:
        targets = [add(position.pawn, (1, side)) for side in (1, -1)]
        targets = [t for t in targets if t in position.loose]
        ahead = add(position.pawn, (1, 0))
        if ahead not in (*own, position.black, *position.loose):
            targets.append(ahead)
        for target in targets:
            if target[0] == position.size - 1:
                go("pawn", target, pawn=None, queen=target)
            else:
                go("pawn", target, pawn=target)
    return found


def black_moves(position):
    """[(target, position after)], White to move."""
    found = []
    for step in ROOK + BISHOP:
        t = add(position.black, step)
        if inside(position, t) and t not in position.loose and not guarded(position, t):
            kept = {
                piece: None if getattr(position, piece) == t else getattr(position, piece)
                for piece in ("main", "pawn", "queen")
            }
            found.append((t, position._replace(black=t, **kept)))
    return found


def solve(starts):
    """{position: moves to mate} for White to move and for Black to move, from `starts` on.

    Positions that are missing from the answers are drawn; the third answer holds every position
    (White's turn?, position) that was reached.
    """
    before, unsolved, reached = defaultdict(list), {}, set()
    queue = deque((True, position) for position in starts)
    reached.update(queue)
    white, black = {}, {}
    solved = deque()
    while queue:
        turn, position = queue.popleft()
        replies = [m[-1] for m in (white_moves(position) if turn else black_moves(position))]
        unsolved[turn, position] = len(replies)
        if not turn and not replies and guarded(position, position.black):
            black[position] = 0
            solved.append((False, position))
        for after in replies:
            node = (not turn, after)
            before[node].append((turn, position))
            if node not in reached:
                reached.add(node)
                queue.append(node)
    while solved:
        turn, position = solved.popleft()
        for node in before[turn, position]:
            earlier = node[1]
            if turn:
                unsolved[node] -= 1
                if unsolved[node] == 0:
                    black[earlier] = white[position]
                    solved.append(node)
            elif earlier not in white:
                white[earlier] = black[position] + 1
                solved.append(node)
    return white, black, reached
