"""Models made elsewhere, from files: weights are read, code is run only where a user names it."""

from __future__ import annotations

import importlib.util
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

from powerseek.agents.foreign.fit import check_sizes
from powerseek.agents.foreign.policies import policy_of
from powerseek.agents.saving import CARD, refusing
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.types import Policy

_CODE = re.compile(r"(?P<path>.+\.py):(?P<name>[^\W\d]\w*)", re.DOTALL)
_KINDS = {
    "a model that powerseek saved": {CARD},
    "a model that Stable-Baselines3 saved": {"policy.pth"},
    "TorchScript, or an exported program": {"constants.pkl", "archive_format"},
    "a network that torch.save wrote": {"data.pkl"},
}
"""Kinds of zips, each with a part that it alone has; the first that fits."""
OURS, LIBRARY, PROGRAM, NETWORK = _KINDS

_TRUSTED = (
    "It is code. If you trust it, write net = torch.jit.load(path), or "
    "torch.export.load(path).module(), into a file and name that: powerseek evaluate file.py:net"
)


def is_foreign(model: str | Path) -> bool:
    """True of a model that powerseek did not save: a function in a file, another library's zip.

    Raises:
        InvalidInput: A file of Python without the name of what in it is meant.
    """
    if str(model).endswith(".py"):
        raise InvalidInput("model", str(model), "file.py:NAME", f"Write {model}:policy, say.")
    return bool(_CODE.fullmatch(str(model))) or _kind(model) in (LIBRARY, PROGRAM, NETWORK)


def _kind(path: str | Path) -> str:
    """The kind of a zip; "" of what is none."""
    try:
        if not Path(path).is_file():  # whoever opens a pipe waits for a writer
            return ""
        with zipfile.ZipFile(path) as archive:
            parts = {name.rpartition("/")[2] for name in archive.namelist()}
    except (OSError, ValueError, zipfile.BadZipFile):
        return ""
    return next((kind for kind, own in _KINDS.items() if own & parts), "")


def load_foreign(model: str | Path, task: Task) -> Policy:
    """Load a policy that was made elsewhere.

    Args:
        model: ``file.py:NAME``, whose code is run as you: a function, network or model
            (`policy_of`). A zip of Stable-Baselines3 or sb3-contrib, or an ``nn.Sequential`` that
            `torch.save` wrote whole: of these weights alone are read, and nothing is executed.
        task: What it is to act in.

    Raises:
        InvalidInput: It is none of these, or does not fit the task.
    """
    if code := _CODE.fullmatch(str(model)):
        return policy_of(_named(code["path"], code["name"]), task, str(model))
    kind = _kind(model)
    if kind == PROGRAM:
        raise InvalidInput("model", str(model), NETWORK, _TRUSTED)
    with refusing(model, "its weights are damaged, or are not what it says", kind):
        if kind == LIBRARY:
            from powerseek.agents.foreign.library import read_library_model

            policy, inputs, actions = read_library_model(model)
        else:
            from powerseek.agents.foreign.networks import read_network

            network = read_network(model)
    if kind == NETWORK:
        return policy_of(network, task, str(model))
    check_sizes(str(model), task, inputs, actions)
    return policy


def _named(path: str, name: str) -> Any:
    """What a file of Python calls `name`; what it imports is looked for beside it, too."""
    file = Path(path)
    if not file.is_file():
        raise InvalidInput("model", f"{path}:{name}", f"a file that is there ({path})")
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module_name = "powerseek_model_" + re.sub(r"\W", "_", file.stem)
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # what it defines is looked up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        words = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise InvalidInput("model", f"{path}:{name}", "a file that runs", words) from error
    if not hasattr(module, name):
        known = [each for each in vars(module) if not each.startswith("_")]
        allowed = f"a name in {path}: {', '.join(known[:20]) or 'it has none'}"
        raise InvalidInput("model", f"{path}:{name}", allowed)
    return getattr(module, name)
