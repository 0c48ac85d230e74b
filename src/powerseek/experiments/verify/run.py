"""Verification of a results directory: what a reviewer would do again, a check at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path

from powerseek.errors import InvalidInput
from powerseek.experiments import layout
from powerseek.experiments.results.files import StoreError
from powerseek.experiments.results.integrity import Damaged
from powerseek.experiments.results.remote import store_at
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.grid import Trial
from powerseek.experiments.study.size import PACE
from powerseek.experiments.verify.again import check_again, sample_trials
from powerseek.experiments.verify.checks import (
    DIFFERS,
    NOTE,
    OK,
    SKIPPED,
    Check,
    check_archive,
    check_drawn,
    check_files,
    check_origins,
    check_pages,
    check_registration,
    check_summary,
)
from powerseek.limits import check_limit


def verify_run(
    run: str | Path,
    sample: int = 2,
    seed: int = 0,
    watch: Callable[[str], None] = lambda line: None,
    hours: float = inf,
) -> Iterator[Check]:
    """Check a finished results directory, or an archive of one; nothing is written there.

    Checksums; the registration; that the same rules and code run here; that tables, verdicts and
    pages follow from the trials' files; and that some trials, trained and evaluated again in a
    temporary folder, give the same rows. A trial made again is ``identical`` where all its rows
    are equal to the bit, ``within rounding`` where steps, counts and statuses are equal and each
    value is within `agreement.ROUNDING`, and else ``differs``. Of an archive verdicts and summary
    are made again from its tables, and trials made again are held against the rows that it keeps.

    Args:
        run: The directory, or the address of one elsewhere.
        sample: How many trials are made again, spread over cells.
        seed: Of the draw of these trials.
        watch: Is told what begins and takes long, in a line.
        hours: Of training, roughly, that these trials may take.

    Returns:
        One check after the other, the last of what was not checked. Checks that need what was
        found damaged are left out, which is said.

    Raises:
        InvalidInput: No results directory of a sweep, not finished, or longer training than may be.
        StoreError: Of another format, or the disk with temporary folders is full.
    """
    check_limit("sample", sample, "--sample")
    check_limit("seed", seed, "--seed")
    store = store_at(run, "RUN")
    with store.naming():
        store.fetch()
        for check in _checks(store, str(run), sample, seed, watch, hours):
            yield replace(check, found=store.told(check.found))


def _checks(
    store: Store,
    given: str,
    sample: int,
    seed: int,
    watch: Callable[[str], None],
    hours: float,
) -> Iterator[Check]:
    try:
        held = store.manifest()
    except Damaged as error:
        yield Check("manifest", DIFFERS, str(error))
        yield Check(SKIPPED, SKIPPED, "all else, which needs it")
        return
    if not held or not store.results.is_file():
        lacking = layout.RESULTS if held else layout.MANIFEST
        allowed = f"the --out of a sweep that has ended (it would hold {lacking})"
        raise InvalidInput("RUN", given, allowed)
    yield check_files(store)
    try:
        study = store.study()
        grid = trials(study)
        store.check(grid)
    except StoreError as error:
        yield Check("study", DIFFERS, str(error))
        yield Check(SKIPPED, SKIPPED, "all else, which needs it")
        return
    yield _check_study(store, grid)
    done = [trial for trial, _ in store.finished(grid)]
    chosen = sample_trials(done, sample, seed)
    work = sum(trial.cell.timesteps for trial in chosen) / PACE / 3600
    if work > hours:
        allowed = f"trials of at most {hours:.0f} hours of training unasked, not about {work:,.0f}"
        hint = "Write a smaller --sample, or --yes if they are meant."
        raise InvalidInput("--sample", sample, allowed, hint)
    yield check_archive(store) if store.archive else check_drawn(store)
    yield check_registration(store, study, [trial.cell for trial in grid])
    yield from check_origins(store, done)
    with tempfile.TemporaryDirectory(prefix="powerseek-verify-") as folder:
        what = "verdicts and summary" if store.archive else "tables, verdicts and pages"
        watch(f"{what} are made again")
        (Path(folder) / "pages").mkdir()
        pages = Path(folder) / "pages"
        if store.archive:
            yield from check_summary(store, pages)
        else:
            yield from check_pages(store, grid, pages)
        yield from check_again(store, chosen, Path(folder) / "again", watch)
    said = [*_unchecked(grid, done, chosen, seed), *_unshown(store)]
    yield Check(SKIPPED, SKIPPED, "; ".join(said))


def _check_study(store: Store, grid: Sequence[Trial]) -> Check:
    """Every trial of the study is there, and no other."""
    kept, failed = len(store.kept()), len(store.failed(grid))
    said = f"{kept} of {len(grid)} trials of {layout.STUDY} have rows, and no other has"
    said += f"; {failed} of them failed" if failed else ""
    return Check("study", NOTE if failed or kept < len(grid) else OK, said)


def _unchecked(
    grid: Sequence[Trial], done: Sequence[Trial], chosen: Sequence[Trial], seed: int
) -> Iterator[str]:
    """What was not checked, in words."""
    if len(chosen) < len(done):
        drawn = f"--sample {len(chosen)}, drawn by --seed {seed}"
        yield f"{len(done) - len(chosen)} of {len(done)} trials were not made again ({drawn})"
    if len(done) < len(grid):
        yield f"{len(grid) - len(done)} trials have no result or failed"
    yield "whether the study was registered before anyone saw results"


def _unshown(store: Store) -> Iterator[str]:
    """What no results directory, or no archive, can show."""
    if store.archive:
        left = f"{store.archive['left_out']:,}"
        yield f"{left} rows that the archive left out, those of trials made again among them"
        yield "tables against trials' own files, exact numbers, the page: the archive has none"
        yield "what pictures show"
    else:
        yield "what pictures and replays show, kept models and TensorBoard's files"
