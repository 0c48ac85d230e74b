"""Steps of 64 copies: our worlds beside other people's. The games differ, but for the chess."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks import worlds
from benchmarks.peers.sides import Comparison, Found, Side, Work

COPIES = 64


def _work(rate: Callable[[int], float]) -> Work:
    """The work of what tells steps/s of so many copies; it compiles in its first call."""
    rate(COPIES)

    def work(turn: int) -> Found:
        return {"seconds": 1 / rate(COPIES), "steps": 1}

    return work


def _ours(world: str) -> Work:
    return _work(partial(worlds.own_rate, world))


def _peer(name: str) -> Work:
    return _work(worlds.RATES[name])


COMPARISONS = {
    "steps": Comparison(
        f"steps of `homestead`, {COPIES} copies",
        {
            "powerseek": Side("`VecWorld`", "powerseek", partial(_ours, "homestead")),
            "cartpole": Side("CartPole, `SyncVectorEnv`", "gymnasium", partial(_peer, "cartpole")),
            "minigrid": Side("MiniGrid-Empty, likewise", "minigrid", partial(_peer, "minigrid")),
        },
    ),
    "chess": Comparison(
        f"plies of `minichess`, {COPIES} copies",
        {
            "powerseek": Side(
                "`VecWorld`, a step two plies", "powerseek", partial(_ours, "minichess")
            ),
            "pgx": Side("pgx gardner_chess, a step one ply", "pgx", partial(_peer, "pgx")),
        },
    ),
}
