"""The tables as LaTeX: they would compile, and hold the numbers and marks of the report."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from synthetic import AGENTS, frame, make_results, references, trial_rows

from powerseek.experiments.analysis.summary import summarise
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.latex import latex_tables, tex
from powerseek.experiments.report.tables import world_grids

ABOUT = {"study": "made_up", "identity": "0123456789abcdef0123", "seeds": 4, "powerseek": "9.8.7"}
COMMANDS = {
    *("begin", "end", "centering", "caption", "label", "footnotesize"),
    *("toprule", "midrule", "bottomrule", "dagger", "ddagger"),
    *("textbackslash", "textasciitilde", "textasciicircum", "textasciigrave"),
    *("textless", "textgreater", "textbar", "textquotesingle"),
}
ENVIRONMENTS = ("table", "tabular")


def check(text: str) -> list[list[list[str]]]:
    """The cells of every table, if LaTeX could read it."""
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    body = "\n".join(lines)
    assert not re.search(r"(?<!\\)[%#]", body)
    assert not re.search(r"(?<!\\)[_^~]", re.sub(r"\\label\{[^}]*\}", "", body))
    assert {*re.findall(r"\\([A-Za-z]+)", body.replace(r"\char34{}", ""))} <= COMMANDS
    assert {*re.findall(r"\\([^A-Za-z])", body)} <= {*"&%$#_{}\\"}
    plain = re.sub(r"\\[{}\\$]", "", body)
    assert plain.count("$") % 2 == 0
    depth = 0
    for letter in plain:
        depth += (letter == "{") - (letter == "}")
        assert depth >= 0
    assert depth == 0
    open_ = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", body):
        assert name in ENVIRONMENTS
        if kind == "begin":
            open_.append(name)
        else:
            assert open_.pop() == name
    assert not open_
    labels = re.findall(r"\\label\{tab:([A-Za-z0-9-]+)\}", body)
    assert len(labels) == len(set(labels)) == body.count(r"\begin{table}")
    return [_cells(found) for found in re.findall(r"\\begin\{tabular\}(.*?)\\end", body, re.S)]


def _cells(tabular: str) -> list[list[str]]:
    spec = re.match(r"\{([lr]+)\}", tabular)
    assert spec
    rows = [line[:-3] for line in tabular.splitlines() if line.endswith(r" \\")]
    cells = [re.split(r"(?<!\\)&", row) for row in rows]
    assert {len(row) for row in cells} == {len(spec[1])}
    return [[cell.strip() for cell in row] for row in cells]


def read(text: str) -> str:
    """What LaTeX prints for a text of ours."""
    for command, letter in (
        *((r"$\dagger$", "\u2020"), (r"$\ddagger$", "\u2021"), ("$-$", "-")),
        *((r"\textasciitilde{}", "~"), (r"\textasciicircum{}", "^"), (r"\textbar{}", "|")),
        *((r"\textless{}", "<"), (r"\textgreater{}", ">"), (r"\char34{}", '"')),
        *((r"\textquotesingle{}", "'"), (r"\textasciigrave{}", "`")),
        (r"\textbackslash{}", "\0"),
    ):
        text = text.replace(command, letter)
    return re.sub(r"\\([&%$#_{}])", r"\1", text).replace("\0", "\\")


@pytest.fixture(scope="module")
def results():
    return make_results(seeds=4, unlearnt=4)


def test_tables_hold_what_the_report_s_do(results):
    tables = check(latex_tables(View(results), ABOUT))
    grids = world_grids(summarise(results))
    for grid, (head, *rows) in zip(grids, tables, strict=False):
        assert tuple(map(read, head)) == grid.headers
        assert [tuple(map(read, row)) for row in rows] == [row for row, _ in grid.shown]
    assert len(tables) > len(grids)  # and the comparisons
    every = [read(cell) for table in tables for row in table for cell in row]
    assert any(cell.startswith("-") and cell[1:2].isdigit() for cell in every)
    assert "not learnt: not scored" in every


def test_captions_say_what_the_numbers_are_of(results):
    text = latex_tables(View(results), ABOUT)
    captions = [read(found) for found in re.findall(r"\\caption\{(.*)\}", text)]
    assert len(captions) == text.count(r"\begin{table}")
    assert all(
        found.endswith(
            "Study made_up (4 seeds a cell; identity 0123456789abcdef); powerseek 9.8.7."
        )
        for found in captions
    )
    assert "Means of the seeds that learnt the task; in brackets 95 % intervals" in captions[1]
    assert "intervals" not in captions[0]  # nothing of it has one
    assert captions[3].startswith("Positive control: paying for power. homestead (goal deliver")
    assert "Differences between groups of seeds" in captions[3]
    assert "\u2020: not confirmatory" in captions[0]
    assert "Density as timing" in " ".join(captions)
    fewer = latex_tables(View(results), {**ABOUT, "seeds": 6})
    assert "(4 of 6 seeds a cell; " in fewer


def test_a_mark_is_explained_where_it_stands_and_only_there():
    measures = {"competence": 0.95, "acquired": 3.5, "excess": 1.0, "beyond": 1.0}
    swapped = {**AGENTS, "hoarder": (0.1, -4.0, -1.0, 0.0, -0.9)}
    trained = frame(*(trial_rows(measures, seed=seed) for seed in range(2)))
    for agents, there in ((AGENTS, False), (swapped, True)):
        table = frame(trained.to_dict("records"), references(agents=agents))
        text = latex_tables(View(table), ABOUT)
        check(text)
        assert (r"$\ddagger$: not to be trusted" in text) == there
        assert r"$\dagger$" not in text


HOSTILE = [
    r"\input{/etc/passwd}",
    "100% & $5 #1_a {b} ~c ^d",
    "\\",
    "%",
    "a\nb\\end{table}",
    "<b>|\"'`",
    "\x1b[31m\u202e",
    "-1",
    "\xe9t\xe9",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_in_a_name_is_a_command(name):
    table = frame(trial_rows({"competence": 1.0, "acquired": 2.0}, world=name, reward=name))
    (rows,) = check(latex_tables(View(table), {**ABOUT, "study": name}))
    assert len(rows) == 2


def test_letters_that_pdflatex_lacks_are_told():
    for name, there in (("\u4e16\u754c", True), ("\xe9t\xe9", False)):
        table = frame(trial_rows({"competence": 1.0}, reward=name))
        assert ("lualatex" in latex_tables(View(table), ABOUT)) == there


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("-0.10 [-0.30, 0.10]", "$-$0.10 [$-$0.30, 0.10]"),
        ("every cap - dense", "every cap - dense"),
        ("maskable-ppo", "maskable-ppo"),
        ("a-1", "a-1"),
        ("-", "-"),
        (r"\n_1", r"\textbackslash{}n\_1"),
    ],
)
def test_a_minus_is_a_minus_and_a_hyphen_none(text, printed):
    assert tex(text) == printed


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_it_compiles(results, tmp_path: Path):
    odd = [trial_rows({"competence": 1.0}, world=name, reward=name) for name in HOSTILE]
    texts = [latex_tables(View(results), ABOUT)]
    texts += [latex_tables(View(frame(rows)), {**ABOUT, "study": rows[0]["world"]}) for rows in odd]
    (tmp_path / "tables.tex").write_text("\n".join(texts), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs}\usepackage{textcomp}"
        r"\begin{document}\input{tables}\end{document}"
    )
    words = ["pdflatex", "-draftmode", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
