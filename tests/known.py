"""The numbers we test against, each with its source: tests/known_answers.json.

A test asks for its case by name, `known("power_star_k")`; test_known_answers.py sees to it that
every case is asked for somewhere.
"""

import json
from pathlib import Path
from types import SimpleNamespace

PATH = Path(__file__).with_name("known_answers.json")
CASES = {case["name"]: case for case in json.loads(PATH.read_text())}


def known(name):
    """One case: .spec, .expected (dicts as in the file), .tolerance, .source."""
    return SimpleNamespace(**CASES[name])
