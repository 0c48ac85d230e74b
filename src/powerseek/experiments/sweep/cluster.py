"""A Ray of our own: quiet, on this machine alone, closed to other machines and other users."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Tune would answer Ctrl-C by saving state that nothing here reads, and saves it while it runs.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
}
for _name, _value in _ENVIRONMENT.items():  # Ray reads these when it is imported
    os.environ.setdefault(_name, _value)
if os.path.expanduser("~") == "~":  # Ray asks for a home, and keeps nothing there
    os.environ["HOME"] = "/"

import ray  # noqa: E402
from ray._common.utils import get_default_system_temp_dir  # noqa: E402
from ray._private import services  # noqa: E402
from ray._raylet import (  # type: ignore[attr-defined]  # noqa: E402
    AuthenticationTokenLoader,
    Config,
)

from powerseek.cache import is_writable, warn_of_cache  # noqa: E402
from powerseek.errors import SweepStopped  # noqa: E402
from powerseek.signals import held_back, unchanged  # noqa: E402

OBJECT_STORE_BYTES = 80_000_000
LOOPBACK = "127.0.0.1"
LONGEST_PLACE = 24
"""Letters of a folder for Ray's: paths of sockets have 107 at most."""
LOOK_SECONDS = 1.0
VITAL = ("raylet", "gcs_server")
WAKE = signal.SIGUSR2
"""Interrupts the main thread: Ctrl-C may be ignored (in the background), and Tune has SIGUSR1."""
AGAIN = "Finished trials are kept; run the same command with --resume."
DIED = (
    "Ray's {0} died (killed, or memory ran out). Finished trials are kept; run the same command "
    "with --resume."
)
ENDED = (
    "error: this sweep's process was ended (killed, or by Ray as its raylet died). Finished trials "
    "are kept; run the same command with --resume.\n"
)
_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
_RESOLVE, _NODE = "resolve_ip_for_localhost", "_global_node"
_TOKEN, _MODE = "RAY_AUTH_TOKEN", "RAY_AUTH_MODE"
TRUSTED = "whoever reaches the ports of this Ray cluster can run code as you; trust its network"
OPEN = (
    "this version of Ray ({0}) cannot be kept to this machine: other machines may reach its ports "
    "while the sweep runs"
)


@contextlib.contextmanager
def cluster(workers: int, address: str | None) -> Iterator[str]:
    """A running Ray, stopped at the end unless it was running before.

    Without an address it is started here, listens on 127.0.0.1 alone, and takes orders only from
    who has its token, which is in no file. A cluster that was there before is trusted, which is
    said of an address.

    Args:
        workers: Cores that a Ray of our own has.
        address: A running cluster's.

    Yields:
        What the user should be warned of; "" where there is nothing.

    Raises:
        SweepStopped: Ray could not be started, or reached.
    """
    if ray.is_initialized():
        yield ""
        return
    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        if not address:
            stack.enter_context(_token())
            # Ray would print pages of its own log where one of its processes dies.
            ray._private.worker._worker_logs_enabled = False
        warn_of_cache()
        stack.enter_context(_outlived(None if address else os.environ[_TOKEN]))
        warning = TRUSTED if address else ""
        try:
            with contextlib.nullcontext() if address else _watched():
                try:
                    with unchanged():
                        if address:
                            ray.init(address, **_QUIET)
                        else:
                            warning = _start(workers, stack)
                except Exception as error:  # Ray raises bare ones where its raylet dies meanwhile
                    where, why = address or "this machine", " ".join(str(error).split())
                    words = f"Ray could not be started on {where}: {why.rstrip('.')}. {AGAIN}"
                    raise SweepStopped(words) from None
                yield warning
        finally:
            _stop()


def _stop() -> None:
    """Stop Ray. Halfway it lets SIGTERM end this process at once, and its processes would stay."""
    state = getattr(ray._private.state, "state", None)
    with held_back() as ignore:
        if state is None:
            ray.shutdown()
            return
        disconnect = state.disconnect
        with _replaced(state, "disconnect", lambda: (ignore(), disconnect())):
            ray.shutdown()


def _start(workers: int, stack: contextlib.ExitStack) -> str:
    options: dict[str, Any] = {
        "num_cpus": workers,
        "num_gpus": 0,
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_temp_dir": _own_folder(stack),
        **_QUIET,
    }
    if not hasattr(services, _RESOLVE):
        ray.init("local", **options)
        return OPEN.format(ray.__version__)
    # Ray binds to its node's address, and replaces a loopback one by the machine's own.
    with _replaced(services, _RESOLVE, lambda host: host):
        ray.init("local", _node_ip_address=LOOPBACK, **options)
    here = str(services.get_node_ip_address()) == LOOPBACK  # type: ignore[no-untyped-call]
    return "" if here else OPEN.format(ray.__version__)


def _own_folder(stack: contextlib.ExitStack) -> str:
    """A folder that no other user may enter: Ray obeys whoever is at the sockets in it.

    Ray lets everybody write the folder that it is given, so this is one within.
    """
    usual = get_default_system_temp_dir()  # type: ignore[no-untyped-call]
    place = usual if len(usual) <= LONGEST_PLACE and is_writable(usual) else "/tmp"
    how: dict[str, Any] = {"dir": place, "prefix": "ray-", "ignore_cleanup_errors": True}
    return os.path.join(stack.enter_context(tempfile.TemporaryDirectory(**how)), "ray")


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Another attribute for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextlib.contextmanager
def _outlived(token: str | None) -> Iterator[None]:
    """Have another process see to what this one leaves, however it ends.

    Ray's compiled code ends this process where its raylet is gone, and no Python runs after. What
    it leaves of Ray may stay for minutes, and workers would go on writing.

    Args:
        token: Of the Ray that is to end with this process; None where it is another's.
    """
    read, write = os.pipe()
    with held_back():
        driver, pid = os.getpid(), os.fork()
        if not pid:
            _see_to(read, token, driver)
    os.close(read)
    try:
        yield
    finally:
        with held_back():
            with contextlib.suppress(BrokenPipeError):  # somebody ended it
                os.write(write, b".")
            os.close(write)
            os.waitpid(pid, 0)


def _see_to(read: int, token: str | None, driver: int) -> NoReturn:
    """Wait for the parent's end, end its Ray, and tell its user unless it has done so itself.

    Holds nothing of its parent: not the lock, nor the pipe's other end.
    """
    try:
        os.dup2(read, 0)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        told = os.read(0, 1)
        for pid in {*_of_ray(token, driver)} - {os.getpid(), driver} if token else ():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not told:
            os.write(2, ENDED.encode())
    finally:
        os._exit(0)


def _of_ray(token: str, driver: int) -> Iterator[int]:
    """Processes of the Ray that a driver started, whoever their parent is now (Linux).

    They have its token in their environment, unless they wrote their title over that; then they
    have logs open in its session's folder, which is named after the driver.
    """
    ours, session = f"{_TOKEN}={token}".encode(), re.compile(rf"/session_[^/]*_{driver}/")
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = ours in (process / "environ").read_bytes().split(b"\0")
            if told or any(session.search(os.readlink(fd)) for fd in (process / "fd").iterdir()):
                yield int(process.name)


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """Stop within seconds where a process of this Ray dies: Ray itself takes a minute to say so.

    Raises:
        SweepStopped: One died.
    """
    main = threading.main_thread()
    if threading.current_thread() is not main:
        yield  # an interrupt would reach another thread
        return
    over, died = threading.Event(), list[str]()

    def node() -> Any:
        """Ray's processes of this machine, as soon as there are some."""
        return getattr(ray._private.worker, _NODE, None)

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            dead = node().dead_processes() if node() else ()
            if names := [name for name, _ in dead if name in VITAL]:
                died.extend(names)
                # Really sent: one that is only noted would wait for the end of a sleep.
                signal.pthread_kill(main.ident or 0, WAKE)
                return

    before = signal.signal(WAKE, signal.default_int_handler)
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    except KeyboardInterrupt:
        if not died:
            raise
        with held_back():
            below = [pid for _, part in node().live_processes() for pid in _children(part.pid)]
            node().kill_all_processes(check_alive=False, allow_graceful=False)
            for pid in below:  # without a GCS they would wait for it
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        raise SweepStopped(DIED.format(died[0])) from None
    finally:
        over.set()
        thread.join()  # without our handler its signal would end this process
        signal.signal(WAKE, before)


def _children(pid: int) -> list[int]:
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except OSError:  # it ended, or no Linux
        return []


@contextlib.contextmanager
def _token() -> Iterator[None]:
    """A token for this Ray alone: Ray's own would lie in the home folder, for others to read."""
    before = {name: os.environ.pop(name, None) for name in (_TOKEN, _MODE)}
    os.environ[_TOKEN] = secrets.token_hex(32)
    _read_token()
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        _read_token()


def _read_token() -> None:
    """Have Ray read its token and mode from the environment: it keeps the first of a process."""
    AuthenticationTokenLoader.instance().reset_cache()
    Config.initialize("")
