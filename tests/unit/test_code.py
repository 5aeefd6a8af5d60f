"""What a stage's bytes depend on in code: what reaches which stage, and what reaches none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.code import describe_code
from stages.code.fingerprint import LEFT_OUT, LIBRARIES

NOW = describe_code([])
FOLLOW = {"outcome", "evaluate"}
"""Stages that compare answers themselves."""


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A copy of the source to change."""
    shutil.copytree("stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    yield tmp_path
    shutil.rmtree(tmp_path)


def changed(tree: Path, plugins: list[str] | None = None) -> set[str]:
    """Stages whose code in `tree` differs from that of this project."""
    then = describe_code(plugins or [], tree)
    assert then.keys() == NOW.keys()
    return {stage for stage, text in then.items() if text != NOW[stage]}


def add(tree: Path, module: str, text: str) -> None:
    path = tree / module
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def test_docstrings_comments_and_layout_reach_no_stage(tree: Path) -> None:
    for number, path in enumerate(sorted((tree / "stages").rglob("*.py"))):
        text = path.read_text(encoding="utf-8").replace('"""', f'"""Number {number}: ', 1)
        path.write_text(f"# Comment {number}.\n\n{text}\n\n# Another.\n", encoding="utf-8")
    assert changed(tree) == set()


def test_a_changed_rule_of_the_verifier_reaches_those_who_compare_answers(tree: Path) -> None:
    for path in (tree / "stages/common/verifiers/math").glob("*.py"):
        add(tree, str(path.relative_to(tree)), "\nCHANGED = 1\n")
    # The judge `reference` asks the verifier whether a last step states the gold answer.
    assert FOLLOW <= changed(tree) <= {*FOLLOW, "judge", "problems"}


def test_a_changed_loss_reaches_training_alone(tree: Path) -> None:
    [loss] = (tree / "stages/train").rglob("*loss*.py")
    loss.write_text(loss.read_text(encoding="utf-8") + "\nCHANGED = 1\n", encoding="utf-8")
    assert changed(tree) == {"train"}


def test_a_changed_prompt_reaches_those_who_judge(tree: Path) -> None:
    prompt = next((tree / "stages/judge").rglob("*.jinja"))
    prompt.write_text("Other words.", encoding="utf-8")
    assert changed(tree) == {"judge", "evaluate"}


def test_what_is_left_out_reaches_no_stage(tree: Path) -> None:
    for pattern in LEFT_OUT:
        paths = list((tree / "stages").glob(f"{pattern.replace('.', '/')}.py"))
        assert paths, f"LEFT_OUT names {pattern}, which is not there"
        for path in paths:
            path.write_text(path.read_text(encoding="utf-8") + "\nCHANGED = 1\n", encoding="utf-8")
    assert changed(tree) == set()


def test_a_new_module_counts_once_it_is_imported(tree: Path) -> None:
    (tree / "stages/split/added.py").write_text("VALUE = 1\n", encoding="utf-8")
    assert changed(tree) == set()
    add(tree, "stages/split/__main__.py", "\nimport stages.split.added\n")
    assert changed(tree) == {"split"}
    assert "stages.split.added " in describe_code([], tree)["split"]


def test_libraries_count_where_they_decide() -> None:
    def libraries(stage: str) -> set[str]:
        return {line.split()[0] for line in NOW[stage].splitlines()} & LIBRARIES.keys()

    assert {"mpmath", "sympy", "polars"} <= libraries("outcome")
    assert {"torch", "transformers", "tokenizers", "trl", "accelerate"} <= libraries("train")
    assert "polars" not in libraries("train"), "it writes no tables"
    assert {"torch", "transformers", "tokenizers"} <= libraries("sample")
    assert libraries("select") == {"polars"}


def test_a_plugin_reaches_the_stages_that_look_its_kinds_up(tree: Path) -> None:
    (tree / "plugins").mkdir()
    (tree / "plugins/word_count.py").write_text(
        "from stages.judge import JUDGES\nfrom plugins.counting import Judge\nJUDGES.register('word_count', Judge)\n",
        encoding="utf-8",
    )
    (tree / "plugins/counting.py").write_text("class Judge: ...\n", encoding="utf-8")
    assert changed(tree) == set()
    assert changed(tree, ["plugins.word_count"]) == {"params", "judge", "evaluate"}
    assert "plugins.counting " in describe_code(["plugins.word_count"], tree)["judge"]
    (tree / "plugins/word_count.py").write_text("import stages.judge\n", encoding="utf-8")
    assert changed(tree, ["plugins.word_count"]) == NOW.keys(), "what it registers where cannot be told"


@pytest.mark.parametrize("python", ["python3.12", "python3.13"])
def test_the_text_is_the_same_for_every_python(python: str) -> None:
    script = "from stages.code.fingerprint import _hash_module as h\nfrom stages.code.imports import list_modules\n"
    script += "from pathlib import Path\nprint([h(m, Path()) for m in list_modules('stages')])"
    done = [
        subprocess.run([program, "-c", script], text=True, capture_output=True, check=False)
        for program in (sys.executable, shutil.which(python) or "false")
    ]
    if done[1].returncode != 0:
        pytest.skip(f"no {python} here")
    assert done[0].stdout == done[1].stdout
