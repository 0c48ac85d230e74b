"""Two networks of their own with a cable between them, for tests of who is heard where (Linux)."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache

INSIDE, OUTSIDE = "10.77.0.1", "10.77.0.2"
_KNOCK = """
import json, socket, sys
host, *ports = sys.argv[1:]
answers = {}
for port in map(int, ports):
    try:
        socket.create_connection((host, port), timeout=2).close()
        answers[port] = "answered"
    except OSError as error:
        answers[port] = type(error).__name__
print(json.dumps(answers))
"""
_LAID = f"""
set -e
ip link add inside netns $1 type veth peer name outside netns $2
nsenter --net=/proc/$2/ns/net sh -ec '
    ip link set lo up
    ip addr add {OUTSIDE}/24 dev outside
    ip link set outside up'
nsenter --net=/proc/$1/ns/net sh -ec '
    ip link set lo up
    ip addr add {INSIDE}/24 dev inside
    ip link set inside up
    ip route add default via {OUTSIDE}'
"""
Within = tuple[str, ...]
"""Words before a command that run it in a network."""


@lru_cache
def unavailable() -> str:
    """Why no networks can be made here; "" where they can."""
    lacking = [name for name in ("ip", "nsenter", "unshare") if shutil.which(name) is None]
    if lacking:
        return f"no network namespace without {', '.join(lacking)}"
    try:
        with joined():
            return ""
    except subprocess.CalledProcessError as error:
        return f"no network namespace (root may, or `unshare -rn`): {error.stderr.strip()}"


@contextlib.contextmanager
def joined() -> Iterator[tuple[Within, Within]]:
    """Two networks, each with a loopback of its own; programs in the first find both addresses.

    They end with the processes that run in them.
    """
    with contextlib.ExitStack() as stack:
        pids = [stack.enter_context(_network()) for _ in range(2)]
        _run("sh", "-c", _LAID, "sh", *map(str, pids))
        first, second = (("nsenter", f"--net=/proc/{pid}/ns/net", "--") for pid in pids)
        yield first, second


@contextlib.contextmanager
def _network() -> Iterator[int]:
    command = ["unshare", "--net", "--", "sh", "-c", "echo && exec sleep 3600"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stderr is not None
        try:
            if not holder.stdout.readline():
                raise subprocess.CalledProcessError(1, command, stderr=holder.stderr.read())
            yield holder.pid
        finally:
            holder.kill()


def knock(within: Within, host: str, ports: Sequence[int]) -> dict[int, str]:
    """What each port answers to a connection: ``answered``, or the error's name."""
    said = _run(*within, sys.executable, "-c", _KNOCK, host, *map(str, ports))
    return {int(port): answer for port, answer in json.loads(said).items()}


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
