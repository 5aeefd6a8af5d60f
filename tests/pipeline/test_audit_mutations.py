"""Damage of every kind is found by verification and named rightly: a few on toy arithmetic, all on real text."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.audit_mutations.damage_kind import KINDS, DamageKind
from benchmarks.audit_mutations.damaged_round import DamagedRound, Trace, copy_round
from benchmarks.audit_mutations.measure import (
    MIN_NAMED,
    KindResult,
    check_undamaged,
    format_table,
    is_traced,
    main,
    measure_kind,
    measure_seeds,
    merge_results,
)
from stages.common.errors import UserError
from stages.common.provenance import compute_sha256, hash_folder
from tests.support.recorded_math_round import RECORDED, make_recorded_math_round
from tools.audit import CheckResults, verify

pytestmark = pytest.mark.slow

NUM_SEEDS = int(os.environ.get("STEPKTO_MUTATION_SEEDS", "2"))
"""Damages of each kind on real text; the command does 40."""

QUICK = (
    "label: turned with first_error and the training row, so that tables agree",
    "sample: said to come from another policy or other sampling params, its id made to fit",
    "training row: two exchanged, so that the order is another",
    "report of a stage: a count is another",
    "report of rounds: a number in the table or in the metrics is another",
    "code: a line of a module more",
    "file: a bit turned",
)


def test_enough_kinds_and_each_has_one_title() -> None:
    assert len({kind.title for kind in KINDS}) == len(KINDS) >= 25
    assert set(QUICK) <= {kind.title for kind in KINDS}


def test_a_damage_is_named_by_the_right_check_and_row_only() -> None:
    results = CheckResults()
    results.add_error("labels", "data/labels/M1/all.parquet: sample a step 1", "label is True")
    assert is_traced(results, Trace.of("labels", "data/labels/M1", "sample a step 1"))
    assert is_traced(results, Trace.of("steps labels", "sample a"))
    assert not is_traced(results, Trace.of("steps", "sample a"))
    assert not is_traced(results, Trace.of("labels", "sample a", "step 2"))


def hash_round(place: Path) -> dict[str, dict[str, str]]:
    """SHA-256 of all that is damaged; DVC itself writes into .dvc/tmp."""
    return {name: hash_folder(place / name, exclude=()) for name in ("data", "models", "reports", "stages")} | {
        name: {"": compute_sha256(place / name)} for name in ("dvc.lock", "params.yaml")
    }


def test_what_is_done_is_found_and_put_back(smoke: Path, tmp_path: Path) -> None:
    copy_round(smoke, tmp_path / "copy")
    before = hash_round(tmp_path / "copy")
    for title in QUICK:
        kind = next(kind for kind in KINDS if kind.title == title)
        result = measure_kind(kind, tmp_path / "copy", 0)
        assert result.counts == {"done": 1, "found": 1, "named": 1}, "\n".join(result.missed)
    check_undamaged(tmp_path / "copy")
    assert hash_round(tmp_path / "copy") == before


def test_hashes_made_to_fit_leave_nothing_to_find_but_the_rows(smoke: Path, tmp_path: Path) -> None:
    copy_round(smoke, tmp_path / "copy")
    damaged = DamagedRound(tmp_path / "copy", random.Random(0))
    damaged.edit_json("data/datasets/M1/manifest.json", lambda value: value.update(note="more"))
    damaged.remake_hashes()
    assert not verify(tmp_path / "copy", checks=["files", "lock", "manifests", "code"]).is_broken


def test_damage_that_verification_does_not_find_is_counted_as_missed(smoke: Path, tmp_path: Path) -> None:
    def change_nothing(damaged: DamagedRound) -> Trace:
        return Trace.of("labels", damaged.choose_round())

    kind = DamageKind("nothing", change_nothing, has_new_hashes=False)
    copy_round(smoke, tmp_path / "copy")
    result = measure_kind(kind, tmp_path / "copy", 0)
    assert result.counts == {"done": 1, "found": 0, "named": 0}
    assert "found nothing" in result.missed[0]
    assert format_table([result])[-1] == "| all 1 kinds | | 1 | 0 | 0 |"


def test_a_round_that_is_broken_already_is_refused_in_one_line(
    smoke: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is found in it would say nothing of a damage, and so would a copy in which one was not put back."""
    copy_round(smoke, tmp_path / "copy")
    report = tmp_path / "copy/reports/stages/outcome/M1.json"
    report.write_bytes(report.read_bytes() + b" ")
    with pytest.raises(UserError, match="expected a round that passes `stepkto audit verify`, found files: reports/st"):
        check_undamaged(tmp_path / "copy")
    assert main([str(tmp_path / "copy"), "--seeds", "1", "--only", "file: a bit turned"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "found files: reports/stages: has md5" in printed.err.splitlines()[-1]


def test_seeds_are_added_up_and_those_done_before_an_interrupt_are_kept() -> None:
    def measure(kind: DamageKind, named: int) -> KindResult:
        return KindResult(kind, Counter(done=1, found=1, named=named), [] if named else ["missed"])

    def measure_until_interrupted() -> Iterator[list[KindResult]]:
        yield [measure(KINDS[0], 1), measure(KINDS[1], 1), KindResult(KINDS[2])]
        yield [measure(KINDS[0], 1), measure(KINDS[1], 0), KindResult(KINDS[2])]
        raise KeyboardInterrupt

    first, second = merge_results(measure_until_interrupted())
    assert first.counts == {"done": 2, "found": 2, "named": 2}
    assert second.counts == {"done": 2, "found": 2, "named": 1}
    assert second.missed == ["missed"]


@pytest.fixture(scope="module")
def real_round(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rounds on recorded completions of MATH."""
    if not RECORDED.exists():
        pytest.skip(f"{RECORDED}: real data not here")
    place = tmp_path_factory.mktemp("mutations")
    make_recorded_math_round(place)
    return place


def test_all_kinds_on_real_text(real_round: Path) -> None:
    results = merge_results(measure_seeds(real_round, range(NUM_SEEDS), 2, KINDS))
    assert [result.kind.title for result in results] == [kind.title for kind in KINDS], "each kind applies"
    done, found, named = (sum(result.counts[name] for result in results) for name in ("done", "found", "named"))
    missed = "\n".join(f"{result.kind.title}: {line}" for result in results for line in result.missed)
    assert found >= MIN_NAMED * done, missed
    assert named >= MIN_NAMED * done, missed
