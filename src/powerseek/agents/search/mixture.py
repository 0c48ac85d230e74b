"""A model that a network predicts: a few things that a step may lead to, and how probable each is.

Joint chance is kept: each outcome is a whole state, not a feature at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from powerseek.agents.cohort.ppo import BACKWARD
from powerseek.agents.job import Settings
from powerseek.agents.search.learnt import Learnt
from powerseek.agents.search.model import Chance, Outcomes
from powerseek.envs.engine.chance import fold_stream, unit_draw
from powerseek.envs.engine.compile import loop_of_numbers
from powerseek.envs.task import VecTask
from powerseek.exact.model_error import Imagined
from powerseek.exact.state_index import pack_seen, unpack_seen
from powerseek.types import Bools, Floats, Floats32, Ints

MODELLING = 0x6D6F64656C
"""The stream, below an agent's seed, of the model's weights and minibatches."""
KEPT = 2**17
"""Steps that are held to learn from, the latest."""
VALUES = 256
"""Values of a feature up to which they are known one by one; one of more is left as predicted."""
FINEST = 1 / 64
"""Part of its range below which values of a feature are not told apart in learning."""
PRECISION = 0.1
"""Error, in differences between values that are told apart, that counts as one standard deviation.

Of 1, a single outcome half way between two would be likelier than both with their probabilities.
"""

_STEPS = ("seen", "done", "wanted", "ended", "legal")
"""Arrays of what was met: observation, action, change and reward, end, legal actions."""


SEEN = ("values", "known", "paid")
"""Arrays of what features and rewards were: values, how many of them, range of rewards with 0."""


class Layers(NamedTuple):
    """Weights and biases of the network, of w units a layer, for K outcomes of O numbers each.

    Attributes:
        first: [obs + A, w].
        first_bias: [w].
        second: [w, w].
        second_bias: [w].
        mixing: [w, K] of what is before the softmax of the outcomes' probabilities.
        mixing_bias: [K].
        heads: [K, w, O]: change of the observation, reward, end, legal actions.
        heads_bias: [K, O].
    """

    first: Any
    first_bias: Any
    second: Any
    second_bias: Any
    mixing: Any
    mixing_bias: Any
    heads: Any
    heads_bias: Any


class Mixture(Learnt):
    """K outcomes of a step, predicted from observation and action by a network of two layers.

    Each outcome is a change of the observation, a reward, an end or none, and the legal actions;
    their log-likelihood is learnt as that of a mixture, in which an error of a feature counts in
    tenths of the smallest difference between values that it has taken, or of 1/64 of their range.
    What is predicted is snapped to the nearest of these values, features and reward alike, where
    they are at most `VALUES`; no reward is beyond those paid so far.

    Args:
        inputs: As `Learnt` takes it.
        actions: Likewise.
        settings: Complete ones of ``search``: those that begin with ``model_``.
        seed: Of weights and minibatches.
        snaps: False to leave predictions as they are.
    """

    def __init__(
        self, inputs: int, actions: int, settings: Settings, seed: int, *, snaps: bool = True
    ) -> None:
        super().__init__(inputs, actions)
        self._rows, self._batches = (
            int(settings[x]) for x in ("model_batch_size", "model_batches")
        )
        self._count, width = settings["model_outcomes"], settings["model_width"]
        self._generator = np.random.default_rng([seed, MODELLING])
        self._snaps = snaps
        outputs = inputs + 2 + actions
        shapes = (
            (inputs + actions, width),
            (width, width),
            (width, self._count),
            (self._count, width, outputs),
        )
        self._layers = Layers(*(part for shape in shapes for part in self._drawn(shape)))
        self._adam = torch.optim.Adam(self._layers, settings["model_learning_rate"])
        body = (inputs + actions) * width + width * width + width * self._count
        self.step_flops = 2 * (body + width * outputs)
        every = 2 * (body + self._count * width * outputs)
        self.batch_flops = BACKWARD * every * self._rows
        self._values = np.full((inputs + 1, VALUES + 1), np.inf, np.float32)
        self._known = np.zeros(inputs + 1, np.int64)
        self._paid = np.zeros(2, np.float32)
        self._met = 0
        self._kept: dict[str, Any] = {
            "seen": np.zeros((0, inputs), np.float32),
            "done": np.zeros(0, np.int64),
            "wanted": np.zeros((0, inputs + 1), np.float32),
            "ended": np.zeros(0, np.bool_),
            "legal": np.zeros((0, actions), np.bool_),
        }

    def _drawn(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Weights of a layer, and its biases, which begin at 0."""
        bound = 1.0 / np.sqrt(shape[-2])
        weights = torch.from_numpy(self._generator.uniform(-bound, bound, shape).astype(np.float32))
        return weights.requires_grad_(), torch.zeros(*shape[:-2], shape[-1], requires_grad=True)

    def meet(
        self, stood: Ints, actions: Ints, rewards: Floats, ended: Bools, envs: VecTask
    ) -> None:
        """See Learnt.meet."""
        seen, _ = unpack_seen(stood, self.inputs, self.actions)
        reached = np.where(ended[:, None], seen, envs.observations)
        paid = rewards.astype(np.float32)
        self._paid[:] = min(self._paid[0], paid.min()), max(self._paid[1], paid.max())
        _note(np.column_stack([seen, paid]), self._values, self._known)
        _note(np.column_stack([reached, paid]), self._values, self._known)
        wanted = np.column_stack([reached - seen, paid])
        n, given = len(actions), (seen, actions, wanted, ended, envs.masks)
        self._reserve(n)
        places = (self._met + np.arange(n)) % KEPT
        for name, part in zip(_STEPS, given, strict=True):
            self._kept[name][places] = part
        self._met += n

    def _reserve(self, more: int) -> None:
        room = len(self._kept["done"])
        if room == KEPT or self._met + more <= room:
            return
        grown = min(KEPT, max(1024, 2 * room, self._met + more))
        for name, old in self._kept.items():
            self._kept[name] = np.zeros((grown, *old.shape[1:]), old.dtype)
            self._kept[name][:room] = old

    def learn(self) -> int:
        """See Learnt.learn."""
        held = min(self._met, KEPT)
        scale = torch.from_numpy(self._scale())
        for _ in range(self._batches):
            rows = self._generator.integers(held, size=self._rows)
            parts = {name: torch.from_numpy(self._kept[name][rows]) for name in _STEPS}
            self._adam.zero_grad()
            self._loss(parts, scale).backward()  # type: ignore[no-untyped-call]  # torch
            self._adam.step()
        return self._batches

    def _scale(self) -> Floats32:
        """[inputs + 1] the error of each feature, and of the reward, that counts as one."""
        scale = np.ones(len(self._known), np.float32)
        for j, known in enumerate(self._known):
            if known > 1:
                values = self._values[j, : min(known, VALUES)]
                finest = FINEST * float(values[-1] - values[0])
                scale[j] = max(finest, float(np.diff(values).min()))
        return PRECISION * scale

    def _loss(self, parts: Mapping[str, Tensor], scale: Tensor) -> Tensor:
        """Mean negative log-likelihood of a minibatch, up to a constant."""
        w, d = self._layers, self.inputs
        done = functional.one_hot(parts["done"], self.actions).to(torch.float32)
        hidden = torch.cat([parts["seen"], done], 1)
        hidden = torch.relu(hidden @ w.first + w.first_bias)
        hidden = torch.relu(hidden @ w.second + w.second_bias)
        mixing = functional.log_softmax(hidden @ w.mixing + w.mixing_bias, 1)
        heads = hidden @ w.heads + w.heads_bias[:, None]  # [K, rows, outputs]
        ended, legal = parts["ended"].to(torch.float32), parts["legal"].to(torch.float32)
        errors = (heads[:, :, : d + 1] - parts["wanted"]) / scale
        errors = functional.smooth_l1_loss(errors, torch.zeros_like(errors), reduction="none")
        ends = _coins(heads[:, :, d + 1], ended.expand(len(heads), -1))
        masks = _coins(heads[:, :, d + 2 :], legal.expand(len(heads), -1, -1)).sum(2)
        goes_on = 1.0 - ended
        energy = goes_on * (errors[:, :, :d].sum(2) + masks) + errors[:, :, d] + ends
        return -torch.logsumexp(mixing.T - energy, 0).mean()

    def step(self, handles: Ints, actions: Ints, chance: Chance) -> Outcomes:
        """See Model.step."""
        drawn = np.zeros(len(actions))
        with np.errstate(over="ignore"):  # 64-bit wrap-around is meant
            _draws(*chance, drawn)
        observations, _ = unpack_seen(handles, self.inputs, self.actions)
        _, rewards, ended, reached, masks = self._predicted(observations, actions, drawn)
        return Outcomes(rewards, ended, pack_seen(reached, masks), masks, reached)

    def outcomes(self, observations: Floats32, masks: Bools, actions: Ints) -> Imagined:
        """See Learnt.outcomes."""
        source = np.repeat(np.arange(len(actions)), self._count)
        return Imagined(source, *self._predicted(observations, actions, None))

    def _predicted(
        self, observations: Floats32, actions: Ints, drawn: Floats | None
    ) -> tuple[Floats, Floats, Bools, Floats32, Bools]:
        """Probabilities, rewards, ends, observations and masks of outcomes of steps.

        Args:
            observations: [n, obs].
            actions: [n].
            drawn: [n] in [0, 1), by which one outcome of each is drawn; None for all K of each.
        """
        n = len(actions) * (self._count if drawn is None else 1)
        found = (
            np.zeros(n),
            np.zeros(n),
            np.zeros(n, np.bool_),
            np.zeros((n, self.inputs), np.float32),
            np.zeros((n, self.actions), np.bool_),
        )
        layers = Layers(*(part.detach().numpy() for part in self._layers))
        known = self._known if self._snaps else np.zeros_like(self._known)
        given = observations, actions, np.zeros(0) if drawn is None else drawn
        _predict(layers, self._values, known, self._paid, given, found)
        return found

    @property
    def reward_range(self) -> tuple[float, float]:
        """See Learnt.reward_range."""
        return float(self._paid[0]), float(self._paid[1])

    def arrays(self) -> dict[str, Any]:
        """See Learnt.arrays."""
        layers = self._layers._asdict()
        weights = {name: part.detach().numpy().copy() for name, part in layers.items()}
        return {**weights, **{x: getattr(self, f"_{x}").copy() for x in SEEN}}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """See Learnt.restore."""
        with torch.no_grad():
            for name, part in self._layers._asdict().items():
                part.copy_(torch.from_numpy(np.asarray(arrays[name], np.float32)))
        for name in SEEN:
            getattr(self, f"_{name}")[:] = arrays[name]

    def state_dict(self) -> dict[str, Any]:
        """See Learnt.state_dict."""
        moments = self._adam.state_dict()["state"]
        held = min(self._met, KEPT)
        return {
            **self.arrays(),
            "kept": {name: part[:held].copy() for name, part in self._kept.items()},
            "met": self._met,
            "generator": self._generator.bit_generator.state,
            "adam": {
                str(i): {name: value.numpy().copy() for name, value in parts.items()}
                for i, parts in moments.items()
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See Learnt.load_state_dict."""
        self.restore(state)
        self._kept = {name: np.array(part) for name, part in state["kept"].items()}
        self._met = int(state["met"])
        self._generator.bit_generator.state = state["generator"]
        moments = {
            int(i): {name: torch.from_numpy(np.array(value)) for name, value in parts.items()}
            for i, parts in state["adam"].items()
        }
        self._adam.load_state_dict({**self._adam.state_dict(), "state": moments})


def _coins(logits: Tensor, came: Tensor) -> Tensor:
    """Negative log-likelihood of coins, each by itself."""
    return functional.binary_cross_entropy_with_logits(logits, came, reduction="none")


@loop_of_numbers
def _note(rows: Any, values: Any, known: Any) -> None:
    """Add what features took in `rows` [n, F] to `values` [F, V + 1], sorted, inf behind them.

    A feature of more than V is known to have `VALUES` + 1, and what they are is of no meaning.
    """
    most = values.shape[1] - 1
    for j in range(values.shape[0]):
        for i in range(len(rows)):
            if known[j] > most:
                break
            place = np.searchsorted(values[j, : known[j]], rows[i, j])
            if place < known[j] and values[j, place] == rows[i, j]:
                continue
            for v in range(known[j], place, -1):
                values[j, v] = values[j, v - 1]
            values[j, place] = rows[i, j]
            known[j] += 1


@loop_of_numbers
def _draws(seeds: Any, numbers: Any, episodes: Any, drawn: Any) -> None:
    """Fill `drawn` [k] with a number in [0, 1) for each step."""
    for i in range(len(drawn)):
        key = fold_stream(fold_stream(seeds[i], numbers[i]), episodes[i])
        drawn[i] = unit_draw(fold_stream(key, 0))


@loop_of_numbers
def _nearest(value: Any, values: Any, known: Any) -> Any:
    """The nearest of the first `known` values, the lower of two as near."""
    place = np.searchsorted(values[:known], value)
    if place == known:
        return values[known - 1]
    if place == 0 or values[place] - value < value - values[place - 1]:
        return values[place]
    return values[place - 1]


@loop_of_numbers
def _predict(layers: Any, values: Any, known: Any, paid: Any, given: Any, found: Any) -> None:
    """Fill outcomes of every step, those of one after the other: drawn ones, or all of them.

    Row by row, so that no step depends on another.
    """
    observations, actions, drawn = given
    first, first_bias, second, second_bias, mixing, mixing_bias, heads, heads_bias = layers
    width, count, every = len(first_bias), len(mixing_bias), len(drawn) == 0
    hidden, deep = np.empty(width, np.float32), np.empty(width, np.float32)
    mixed, out = np.empty(count), np.empty(heads.shape[2], np.float32)
    row = 0
    for i in range(len(actions)):
        hidden[:] = first_bias
        for j in range(observations.shape[1]):
            _add_row(observations[i, j], first[j], hidden)
        _add_row(np.float32(1.0), first[observations.shape[1] + actions[i]], hidden)
        deep[:] = second_bias
        for j in range(width):
            _add_row(max(hidden[j], np.float32(0.0)), second[j], deep)
        for j in range(width):
            deep[j] = max(deep[j], np.float32(0.0))
        total = _mix(deep, mixing, mixing_bias, mixed)
        begin, end = 0, count
        if not every:
            left = drawn[i] * total
            while begin + 1 < count and left >= mixed[begin]:
                left -= mixed[begin]
                begin += 1
            end = begin + 1
        for k in range(begin, end):
            out[:] = heads_bias[k]
            for j in range(width):
                _add_row(deep[j], heads[k, j], out)
            _read(observations[i], out, values, known, paid, row, found)
            found[0][row] = mixed[k] / total
            row += 1


@loop_of_numbers
def _mix(deep: Any, mixing: Any, biases: Any, mixed: Any) -> Any:
    """Fill the weights of outcomes, which are to be divided by what is returned."""
    for k in range(len(mixed)):
        mixed[k] = biases[k]
        for j in range(len(deep)):
            mixed[k] += deep[j] * mixing[j, k]
    top, total = mixed.max(), 0.0
    for k in range(len(mixed)):
        mixed[k] = np.exp(mixed[k] - top)
        total += mixed[k]
    return total


@loop_of_numbers
def _read(seen: Any, out: Any, values: Any, known: Any, paid: Any, row: int, found: Any) -> None:
    """Fill row `row` of what is found with what the numbers of an outcome say."""
    _, rewards, ended, reached, masks = found
    inputs, most = len(seen), values.shape[1] - 1
    for j in range(inputs):
        value = seen[j] + out[j]
        reached[row, j] = _nearest(value, values[j], known[j]) if 0 < known[j] <= most else value
    reward = min(max(out[inputs], paid[0]), paid[1])
    if 0 < known[inputs] <= most:
        reward = _nearest(reward, values[inputs], known[inputs])
    rewards[row], ended[row] = reward, out[inputs + 1] > 0.0
    likeliest = 0
    for a in range(masks.shape[1]):
        masks[row, a] = out[inputs + 2 + a] > 0.0
        if out[inputs + 2 + a] > out[inputs + 2 + likeliest]:
            likeliest = a
    masks[row, likeliest] = True


@loop_of_numbers
def _add_row(factor: Any, row: Any, out: Any) -> None:
    """Add `factor` x row to `out`."""
    if factor != 0.0:
        for j in range(len(out)):
            out[j] += factor * row[j]
