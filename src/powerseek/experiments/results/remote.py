"""Results elsewhere: object stores and whatever else pyarrow opens, by their address.

Every process has a copy of its own, and what lies there is what counts. A worker sends its trial
when it has ended, the rows last: a trial whose rows are there is finished, and all that belongs to
it lies beside them. The driver fetches what workers have sent, and sends what it makes of it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from powerseek.errors import InvalidInput, PowerseekError
from powerseek.experiments import layout
from powerseek.experiments.results.files import DiskFull, StoreError, folder_of, is_elsewhere
from powerseek.experiments.results.lock import Warn, locked_mirror
from powerseek.experiments.results.mirror import Mirror
from powerseek.experiments.results.oracles import oracle_names
from powerseek.experiments.results.origin import UNKNOWN
from powerseek.experiments.results.side_tables import curve_path
from powerseek.experiments.results.store import Ended, Store, checkpoint_path
from powerseek.experiments.study.grid import Trial
from powerseek.experiments.study.schema import Study


def store_at(out: str | Path, field: str = "--out", patient: bool = False) -> Store:
    """The store of a folder, or of results elsewhere.

    Args:
        out: A path, ``file:///`` and a path, or an address such as ``s3://bucket/path``.
        field: The option it was given to.
        patient: Whether what cannot be reached is tried again: others have reached it.

    Raises:
        InvalidInput: An address that nothing here opens.
        StoreError: It cannot be reached.
    """
    if not is_elsewhere(out):
        return Store(folder_of(out, field))
    return RemoteStore(str(out), field, patient)


class RemoteStore(Store):
    """One study's results elsewhere; `out` is this process's copy. See `Store`."""

    def __init__(self, address: str, field: str = "--out", patient: bool = False) -> None:
        self.mirror = Mirror(address, field, patient)
        super().__init__(self.mirror.folder)
        self._address = address
        self._listed: frozenset[str] = frozenset()
        self._together = f"{layout.TENSORBOARD}/"

    @property
    def address(self) -> str:
        """With the credentials that it was given with."""
        return self._address

    def _name(self, path: Path) -> str:
        return self.mirror.name(path)

    def locked(self, warn: Warn) -> contextlib.AbstractContextManager[None]:
        """Hold these results; see `Store.locked`."""
        return locked_mirror(self.mirror, warn)

    def inspect(self, study: Study, grid: Sequence[Trial], resume: bool) -> tuple[str, ...]:
        """See whether a study can be begun or taken up; see `Store.inspect`."""
        with self.naming():
            if not resume and self.mirror.listing().keys() - {layout.LOCK}:
                raise self._used()
            self.fetch()
            return super().inspect(study, grid, resume)

    def check_usable(self) -> None:
        """Let pass whatever can be reached: only writing would show more."""

    def _go_on(self) -> str:
        return f"To go on with the study it holds, copy its {layout.STUDY} here and sweep that."

    def open(self, study: Study, grid: Sequence[Trial], resume: bool) -> tuple[str, ...]:
        """Begin or take up a study; see `Store.open`."""
        with self.naming():
            said = super().open(study, grid, resume)
            for name in self.mirror.changed():  # one after the other, as they were written
                self.mirror.send([name])
        return said

    def _begun(self) -> bool:
        return super()._begun() or not self._listed <= layout.BEFORE

    def fetch(self) -> None:
        """All but models and the trials' own events: nothing here reads them."""
        aside = (f"{layout.MODELS}/", f"{layout.EVENTS}/", layout.LOCK)
        self._listed = frozenset(self.mirror.refresh(lambda name: not name.startswith(aside)))

    def send(self) -> None:
        """Send what has changed, the merged table last: it says what trials the rest is of."""
        last = self._name(self.results)
        changed = self.mirror.changed()
        self.mirror.send(name for name in changed if name != last)
        self.mirror.send(name for name in changed if name == last)
        lost = self.mirror.lost()
        self.mirror.remove(name for name in lost if name.startswith(self._together))

    def begin(self, trials: Sequence[Trial]) -> None:
        """Checkpoints, exact numbers; events of a try that was cut short are void."""
        self.mirror.clear(lambda name: name.startswith(f"{layout.ORACLES}/"))
        exact = dict.fromkeys(name for trial in trials for name in oracle_names(trial.cell))
        lacking = [name for name in exact if not (self.out / name).is_file()]
        kept = [self._name(checkpoint_path(self.out, trial)) for trial in trials]
        self.mirror.fetch([*kept, *lacking])
        for trial in trials:
            self.mirror.remove(self.mirror.listing(self._name(layout.run_folder(self.out, trial))))

    def sent(self, path: Path) -> None:
        """Send one file."""
        if path.is_file():
            self.mirror.send([self._name(path)])

    def write(self, trial: Trial, rows: pd.DataFrame, origin: Mapping[str, str] = UNKNOWN) -> None:
        """Keep one finished trial, all of it or nothing."""
        super().write(trial, rows, origin)
        self._send_trial(trial)
        over = (self.error_path(trial), checkpoint_path(self.out, trial))
        self.mirror.remove(self._name(path) for path in over)

    def write_failed(
        self,
        trial: Trial,
        error: str,
        resumable: bool = False,
        reached: Mapping[str, int] | None = None,
    ) -> None:
        """Keep a failed trial; see `Store.write_failed`."""
        if not resumable:
            self.mirror.remove([self._name(checkpoint_path(self.out, trial))])
        super().write_failed(trial, self.told(error), resumable, reached)
        self._send_trial(trial)

    def _send_trial(self, trial: Trial) -> None:
        """All that is new of a trial, its rows last."""
        rows = self._name(self.path(trial))
        changed = [name for name in self.mirror.changed() if not name.startswith(self._together)]
        self.mirror.send(name for name in changed if name != rows)
        self.mirror.send([rows])

    def done(self, trial: Trial) -> bool:
        """True if one trial has a result by now and did not fail."""
        self.mirror.fetch([self._name(self.path(trial))])
        return super().done(trial)

    def tidy(self, grid: Iterable[Trial]) -> None:
        """Remove what killed processes left, here and there."""
        grid = list(grid)
        super().tidy(grid)
        kept = {self._name(checkpoint_path(self.out, trial)) for trial in self.missing(grid)}
        over = [name for name in self.mirror.listing(layout.CHECKPOINTS) if name not in kept]
        self.mirror.remove([*over, *self.mirror.listing(begun=True)])

    def provenance(self, study: Study, grid: Sequence[Trial], run: Mapping[str, Any]) -> None:
        """Record what made the results; see `Store.provenance`."""
        super().provenance(study, grid, run)
        self.mirror.send([self._name(self.out / layout.PROVENANCE)])

    @contextlib.contextmanager
    def following(self, ended: Ended) -> Iterator[Ended]:
        """Fetches trials that have ended in a thread of its own, those that wait together."""
        waiting: queue.SimpleQueue[Trial | None] = queue.SimpleQueue()
        follower = threading.Thread(target=self._follow, args=(waiting, ended), daemon=True)
        follower.start()
        try:
            yield waiting.put
        finally:
            waiting.put(None)
            follower.join()

    def _follow(self, waiting: queue.SimpleQueue[Trial | None], ended: Ended) -> None:
        while (first := waiting.get()) is not None:
            batch = [first]
            while not waiting.empty():
                if (another := waiting.get()) is None:
                    return  # all is fetched once more when the sweep has ended
                batch.append(another)
            paths = [path for trial in batch for path in self._seen_of(trial)]
            with contextlib.suppress(StoreError):  # likewise
                self.mirror.fetch(self._name(path) for path in paths)
                for trial in batch:
                    ended(trial)

    def _seen_of(self, trial: Trial) -> tuple[Path, ...]:
        """Files that are looked at while a sweep runs."""
        return self.path(trial), self.error_path(trial), curve_path(self.out, trial)

    @contextlib.contextmanager
    def naming(self) -> Iterator[None]:
        """Errors speak of the address; of the copy only where its own disk is full."""
        try:
            with super().naming():
                yield
        except DiskFull:
            raise
        except InvalidInput as error:
            value = self.told(error.value) if isinstance(error.value, str) else error.value
            words = (self.told(error.allowed), self.told(error.hint))
            raise type(error)(error.field, value, *words) from None
        except PowerseekError as error:
            raise type(error)(self.told(str(error))) from None

    def told(self, text: str) -> str:
        """The address in place of the copy."""
        files = text.replace(f"{self.out}/", f"{self.mirror.base}/")
        return files.replace(str(self.out), self.mirror.uri)

    def shown(self, path: Path) -> str:
        """The address of a file."""
        return self.told(str(path))
