"""What two policies answer differently: a run of the smoke recipe."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from stages.common.errors import UserError
from stages.common.tables import OUTCOME, SAMPLE, read_table, write_table
from tools.audit.lineage.answer_changes import compare_answers


def list_correct(root: Path, policy: str) -> set[str]:
    outcomes = read_table(root / f"data/evaluations/{policy}/outcomes", OUTCOME, 0)
    return set(outcomes.filter(pl.col("is_correct"))["problem_id"])


@pytest.fixture
def place(smoke: Path, tmp_path: Path) -> Path:
    """A copy of what the command reads, with two problems solved by M0 alone and one by M1 alone."""
    shutil.copytree(smoke / "data/evaluations", tmp_path / "data/evaluations")
    shutil.copytree(smoke / "data/problems", tmp_path / "data/problems")
    for name in ("params.yaml", "dvc.lock"):
        shutil.copyfile(smoke / name, tmp_path / name)
    ids = sorted(read_table(smoke / "data/evaluations/M0/outcomes", OUTCOME, 0)["problem_id"])
    for policy, solved in (("M0", ids[:3]), ("M1", [ids[0], ids[3]])):
        folder = tmp_path / f"data/evaluations/{policy}/outcomes"
        outcomes = read_table(folder, OUTCOME, 0)
        shutil.rmtree(folder)
        is_correct = (
            pl.when(pl.col("problem_id").is_in(solved)).then(True).when(pl.col("problem_id") != ids[4]).then(False)
        )
        write_table(folder, OUTCOME, outcomes.with_columns(is_correct=is_correct.otherwise(None)), 0)
    return tmp_path


def test_counts_and_texts_are_those_of_the_tables(place: Path) -> None:
    before, after = list_correct(place, "M0"), list_correct(place, "M1")
    lines = compare_answers(place, "M0", "M1", with_whole_text=True)
    total = read_table(place / "data/evaluations/M0/outcomes", OUTCOME, 0).height
    assert lines[1] == (
        f"correct with both 1, with M1 alone 1, with M0 alone 2, with neither {total - 4} (McNemar's p 1)"
    ), "an undecided answer counts as not correct"
    assert [line for line in lines if line.startswith("correct with M")] == [
        "correct with M1 alone",
        "correct with M0 alone",
        "correct with M0 alone",
    ]
    samples = read_table(place / "data/evaluations/M1/samples", SAMPLE, 0)
    text = "\n".join(lines)
    for problem in before ^ after:
        completion = samples.row(by_predicate=pl.col("problem_id") == problem, named=True)["completion"]
        assert f"problem   {problem}" in text
        assert completion.splitlines()[0].strip() in text


def test_the_number_shown_is_as_asked_for(place: Path) -> None:
    assert len(compare_answers(place, "M0", "M1", num_shown=0)) == 2
    shown = compare_answers(place, "M1", "M0", num_shown=1)
    assert "with M0 alone 2, with M1 alone 1," in shown[1]
    assert sum(line.startswith("problem ") for line in shown) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("M0", "M7"), r"M7: no policy of params\.yaml; expected one of M0, M1"),
        (("M0", "M1", 5, "aime"), r"no greedy evaluation of M0 on aime"),
    ],
)
def test_what_was_not_evaluated_is_named(place: Path, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        compare_answers(place, *arguments)  # type: ignore[arg-type]


def test_other_problems_are_refused(place: Path) -> None:
    folder = place / "data/evaluations/M0/outcomes"
    fewer = read_table(folder, OUTCOME, 0).slice(1)
    shutil.rmtree(folder)
    write_table(folder, OUTCOME, fewer, 0)
    with pytest.raises(UserError, match=r"\d+ problems, that are not the \d+ of .*M1.outcomes"):
        compare_answers(place, "M0", "M1")


def test_answers_that_are_not_on_this_machine_are_named(place: Path) -> None:
    shutil.rmtree(place / "data/evaluations/M1/outcomes")
    with pytest.raises(UserError, match=r"not the 0 of .*M1.outcomes; `dvc pull`"):
        compare_answers(place, "M0", "M1")
