"""Digests change with whatever code can read, and with nothing else."""

import os
import subprocess
import sys
from types import ModuleType

import pytest

from powerseek.envs.engine.reach import OutOfReach, digest_rule_value

HEAD = """
import enum, functools, threading, types
from typing import NamedTuple
import numba, numpy as np
from numba import njit, vectorize
from numba.experimental import jitclass
from numba.extending import overload, register_jitable
from powerseek.envs import rule
"""
# What a rule reads, with a value at ?, and the rule's body.
READ = {
    "number": ("X = ?", "return X"),
    "enum member": ("class P(enum.IntEnum):\n    GOLD = ?", "return P.GOLD.value"),
    "enum member by itself": ("class P(enum.Enum):\n    GOLD = ?\nG = P.GOLD", "return G.value"),
    "method of an enum": (
        "class P(enum.IntEnum):\n    A = 1\n    def worth(self): return ?",
        "return P.A.worth()",
    ),
    "middle of an array": ("X = np.zeros(3000)\nX[1500] = ?", "return X[1500]"),
    "array in a tuple": ("x = np.zeros(3000)\nx[1500] = ?\nX = (1, (x,))", "return X[1][0][1500]"),
    "array in a named tuple": (
        "class T(NamedTuple):\n    x: object\nX = T(np.full(2000, ?))",
        "return X.x[1000]",
    ),
    "default of a named tuple": ("class T(NamedTuple):\n    x: int = ?", "return T().x"),
    "array in a list in a dict": ("X = {'a': [np.full(2000, ?)]}", "return X['a'][0][9]"),
    "set": ("X = frozenset({'a', ?})", "return 3 in X"),
    "array of objects": ("X = np.array([None, ?], object)", "return X[1]"),
    "record": ("X = np.array((?, 0), [('a', 'i1'), ('b', 'f8')])[()]", "return X.a"),
    "dtype": ("X = np.ones(3, 'i?')", "return X[0]"),
    "type of a scalar": ("X = np.dtype('i?').type(1)", "return X"),
    "layout": ("X = np.ones((8, ?))[::?]", "return X[0]"),
    "numba type": ("X = getattr(numba, 'int' + str(8 * ?))", "return X(300)"),
    "helper": ("@rule\ndef f(x):\n    return x + ?", "return f(1)"),
    "helper's helper": (
        "N = ?\n@rule\ndef g(x):\n    return x + N\n@rule\ndef f(x):\n    return g(x)",
        "return f(1)",
    ),
    "default": ("@rule\ndef f(x=?):\n    return x", "return f()"),
    "default by name": ("@rule\ndef f(*, x=?):\n    return x", "return f()"),
    "closure": ("def make(x):\n    return rule(lambda: x)\nf = make(?)", "return f()"),
    "constant of an inner function": ("", "return (lambda x: x + ?)(1)"),
    "global of an inner function": ("X = ?", "return (lambda y: y + X)(1)"),
    "partial": ("f = functools.partial(max, ?)", "return f(1)"),
    "module": ("m = types.ModuleType('m')\nm.X = ?", "return m.X"),
    "module in a module": (
        "m = types.ModuleType('m')\nm.n = types.ModuleType('n')\nm.n.X = (1, ?)",
        "return m.n.X[1]",
    ),
    "method of a module's class": (
        "m = types.ModuleType('m')\nclass P(enum.IntEnum):\n    A = ?\nm.P = P",
        "return m.P.A.value",
    ),
    "module in a closure": (
        "m = types.ModuleType('m')\nm.X = ?\n"
        "def make(m):\n    return rule(lambda: m.X)\nf = make(m)",
        "return f()",
    ),
    "overload": (
        "def f(x): pass\n@overload(f)\ndef g(x):\n    return lambda x: x + ?",
        "return f(1)",
    ),
    "jitable": ("@register_jitable\ndef f(x): return x + ?", "return f(1)"),
    "fast arithmetic": ("f = njit(fastmath=? > 2)(lambda x: x * x)", "return f(1.0)"),
    "signature": ("f = njit(f'(int{8 * ?},)')(lambda x: x)", "return f(300)"),
    "compiled class": (
        "@jitclass([('a', numba.int64)])\nclass J:\n    def __init__(self): self.a = ?\n",
        "return J().a",
    ),
    "base of a class": (
        "class A:\n    X = ?\nclass B(A): pass",
        "return B.X",
    ),
    "name of a built-in": ("f = (None, None, min, None, max)[?]", "return f(1, 2)"),
}


def rule_of(defined, body, name="made"):
    module = ModuleType(name)
    exec(f"{HEAD}{defined}\ndef told(p, s):\n    {body}\n", vars(module))
    return module.told


@pytest.mark.parametrize("what", READ)
def test_a_digest_changes_with(what):
    defined, body = READ[what]
    two, again, four = (
        digest_rule_value(rule_of(defined.replace("?", to), body.replace("?", to)), "told")
        for to in "224"
    )
    assert two == again, "the same code and values give one digest"
    assert two != four


@pytest.mark.parametrize(
    ("defined", "body"),
    [
        ("X, UNREAD = 1, ?", "return X"),
        ("X, y = 1, ?", "return X + s.y"),
        ("X = 1  # ?", "return X"),
        ("def f(x):\n    'Returns ?.'\n    return x", "return f(1)"),
        ("m = types.ModuleType('m')\nm.X, m.y = 1, ?", "return m.X + s.y"),
    ],
)
def test_a_digest_stays_where_nothing_that_is_read_changes(defined, body):
    two, four = (digest_rule_value(rule_of(defined.replace("?", to), body), "told") for to in "24")
    assert two == four


@pytest.mark.parametrize(
    ("defined", "body", "path", "kind"),
    [
        ("X = threading.Lock()", "return X", "X", "lock"),
        ("X = (1, iter([2]))", "return X[1]", "X[1]", "list_iterator"),
        ("m = types.ModuleType('m')", "n = m; return n.X", "m", "module"),
        ("m = types.ModuleType('m')", "return getattr(m, 'X')", "m", "module"),
        ("@vectorize\ndef f(x):\n    return x", "return f(1)", "f", "DUFunc"),
        ("X = np.ma.array([1])", "return X[0]", "X", "MaskedArray"),
        ("X = np.random.default_rng()", "return X.random()", "X", "Generator"),
    ],
)
def test_what_cannot_be_followed_is_refused(defined, body, path, kind):
    with pytest.raises(OutOfReach) as told:
        digest_rule_value(rule_of(defined, body), "told")
    assert (told.value.path, type(told.value.value).__name__) == (path, kind)
    assert digest_rule_value(rule_of(defined, body), "told", own="elsewhere")


def exotic():
    names = ("set", "enum member", "compiled class")
    return [
        digest_rule_value(rule_of(*(x.replace("?", "2") for x in READ[k])), "told") for k in names
    ]


def test_a_digest_is_the_same_in_every_process():
    code = "from tests.envs.engine.test_reach import exotic; print(exotic())"
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "1"}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(exotic())
