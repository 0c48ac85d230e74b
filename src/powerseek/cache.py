"""Where compiled code is kept: a folder that can be written, whatever home and installation are.

The kernel decides it before Numba is imported, and by environment variables, so that workers and
the libraries beneath inherit it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import warnings

CACHE, USUAL = "POWERSEEK_CACHE", "XDG_CACHE_HOME"
NUMBA, MATPLOTLIB = "NUMBA_CACHE_DIR", "MPLCONFIGDIR"
_caution = ""


class CacheWarning(UserWarning):
    """No cache can be written, so what is compiled is lost when the process ends."""


def cache_folder() -> str:
    """Folder of what powerseek compiles: $POWERSEEK_CACHE, or one in the user's cache folder."""
    folder = os.environ.get(CACHE)
    usual = os.environ.get(USUAL) or os.path.join("~", ".cache")
    return os.path.expanduser(folder or os.path.join(usual, "powerseek"))


def settle_caches() -> None:
    """Put every cache below $POWERSEEK_CACHE; unset, each library keeps its own where it always is.

    Where that or the user's cache folder cannot be written, a temporary one stands for it: private
    to this user and the processes started from here, and removed at the end.
    """
    global _caution
    folder = os.path.abspath(cache_folder())
    if not is_writable(cache_folder()):
        _caution = (
            f"the cache {cache_folder()} cannot be written, so what is compiled is lost when this "
            f"process ends; set {CACHE} to a folder that can be"
        )
        folder = os.environ[USUAL] = tempfile.mkdtemp(prefix="powerseek-")
        os.environ.pop(CACHE, None)
        os.environ.setdefault(MATPLOTLIB, os.path.join(folder, "matplotlib"))
        atexit.register(_remove, folder, os.getpid())
    elif os.environ.get(CACHE):
        os.environ[CACHE] = folder  # workers stand elsewhere
        os.environ.setdefault(MATPLOTLIB, os.path.join(folder, "matplotlib"))
        os.environ.setdefault(NUMBA, os.path.join(folder, "numba"))
        if "numba" in sys.modules:
            sys.modules["numba"].config.reload_config()
    if not _has_name():
        os.environ["USER"] = str(os.getuid())  # torch asks for one when it is imported


def warn_of_cache() -> None:
    """Warn, once, that no cache can be written."""
    global _caution
    words, _caution = _caution, ""
    if words:
        warnings.warn(words, CacheWarning, stacklevel=2)


def is_writable(folder: str) -> bool:
    """Whether files can be made in a folder, which is made where it is absent."""
    if folder.startswith("~"):  # a user without a home
        return False
    try:
        os.makedirs(folder, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _has_name() -> bool:
    if any(os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
        return True
    import pwd

    try:
        return bool(pwd.getpwuid(os.getuid()))
    except KeyError:
        return False


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # not in a fork
        shutil.rmtree(folder, ignore_errors=True)
