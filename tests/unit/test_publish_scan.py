"""The scan over what is about to go out: everything planted is found, named by place and kind, and never shown."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.publish.preconditions import RefusedError
from tools.publish.private_data import ACCEPTABLE, PATTERNS, require_nothing_private, scan_file

# Put together here, so that no scanner takes this file for one with secrets.
PLANTED = {
    "Hugging Face token": "hf" + "_" + "AbCdEfGh" * 4,
    "API key": "sk" + "-" + "proj" + "A1b2C3d4" * 4,
    "GitHub token": "gh" + "p_" + "AbCd1234" * 5,
    "AWS access key": "AKIA" + "ABCDEFGH12345678",
    "AWS secret key": "aws_secret" + "_access_key = " + "Ab1/" * 10,
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "personal path": "/ho" + "me/ana/project",
    "e-mail address": "ana.b" + "@" + "mail.example.org",
}
HARMLESS = [
    "The answer is \\boxed{42}, and 3 @ 4 is no address; /home alone is a folder.",
    "hf_short, sk-short and ghp_short are too short for tokens.",
    "x@y",
    "the square/root/of two",
    "$a_{i}@b$",
]


def kinds_in(path: Path, environment: dict[str, str] | None = None) -> set[str]:
    return {match.kind for match in scan_file(path, path.name, environment or {})}


def test_every_kind_has_a_plant() -> None:
    assert set(PLANTED) == set(PATTERNS)
    assert set(PATTERNS) > ACCEPTABLE


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("column", ["text", "list", "struct", "chat"])
def test_a_plant_in_parquet_is_found_by_row_and_column(tmp_path: Path, kind: str, column: str) -> None:
    rows: list[dict[str, Any]] = [
        {
            "text": "a",
            "list": ["b", "c"],
            "struct": {"d": "e"},
            "chat": [{"role": "user", "content": "f"}],
            "number": at,
        }
        for at in range(5000)
    ]
    planted = f"so {PLANTED[kind]} there"
    rows[4500][column] = {
        "text": planted,
        "list": ["b", planted],
        "struct": {"d": planted},
        "chat": [{"role": "user", "content": "f"}, {"role": "assistant", "content": planted}],
    }[column]
    path = tmp_path / "rows.parquet"
    pl.DataFrame(rows).write_parquet(path, compression="zstd")
    assert [str(finding) for finding in scan_file(path, "rows.parquet", {})] == [
        f"rows.parquet, row 4500, column {column}: {kind}"
    ]


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("gap", [0, 100])
def test_a_plant_is_found_wherever_it_stands_in_a_line(tmp_path: Path, kind: str, gap: int) -> None:
    for shift in range(0, 64, 7):
        path = tmp_path / "card.md"
        path.write_text("line\n" * 3 + "." * (gap + shift) + f" {PLANTED[kind]} end\nmore\n", encoding="utf-8")
        found = [finding for finding in scan_file(path, "card.md", {}) if finding.kind == kind]
        assert found
        assert {finding.position for finding in found} == {"line 4"}


def test_plants_in_names_metadata_and_binary_files(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    named = tmp_path / f"{PLANTED['e-mail address']}.txt"
    named.write_text("", encoding="utf-8")
    assert kinds_in(named) == {"e-mail address"}
    table = pa.table({"a": ["b"]}).replace_schema_metadata({"made": PLANTED["personal path"]})
    pq.write_table(table, tmp_path / "meta.parquet")
    assert kinds_in(tmp_path / "meta.parquet") == {"personal path"}
    binary = tmp_path / "weights.bin"
    binary.write_bytes(b"\0" * 100 + PLANTED["Hugging Face token"].encode() + b"\0")
    assert [finding.position for finding in scan_file(binary, "w", {})] == ["byte 100"]


def test_of_weights_the_header_is_read_and_not_the_numbers(tmp_path: Path) -> None:
    header = json.dumps({"__metadata__": {"by": PLANTED["Hugging Face token"]}}).encode()
    weights = (PLANTED["e-mail address"] * 9).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + weights)
    assert kinds_in(path) == {"Hugging Face token"}
    path.write_bytes((2).to_bytes(8, "little") + b"{}" + weights)
    assert kinds_in(path) == set()
    path.write_bytes(b"{}")
    assert kinds_in(path) == set()


@pytest.mark.parametrize("path", ["/root/project", "C:\\Users\\ana", "C:/Users/ana", "/Users/ana"])
def test_homes_of_other_kinds(tmp_path: Path, path: str) -> None:
    (tmp_path / "card.md").write_text(f"made in {path}", encoding="utf-8")
    assert kinds_in(tmp_path / "card.md") == {"personal path"}


@given(st.sampled_from(sorted(PLANTED)), st.text(max_size=30), st.text(max_size=30))
def test_a_plant_is_found_between_any_text(kind: str, before: str, after: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "card.md"
        path.write_text(f"{before} {PLANTED[kind]} {after}", encoding="utf-8", errors="replace")
        assert kind in kinds_in(path)
        frame = pl.DataFrame({"text": [path.read_text(encoding="utf-8")]})
        frame.write_parquet(Path(folder) / "rows.parquet")
        assert kind in kinds_in(Path(folder) / "rows.parquet")


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_passes(tmp_path: Path, text: str) -> None:
    (tmp_path / "card.md").write_text(text, encoding="utf-8")
    pl.DataFrame({"text": [text]}).write_parquet(tmp_path / "rows.parquet")
    assert require_nothing_private(tmp_path, environment={}) == 2


def test_values_of_secret_variables_are_found(tmp_path: Path) -> None:
    path = tmp_path / "card.md"
    path.write_text("of no known form: s3cret.value+1", encoding="utf-8")
    assert kinds_in(path, {"JUDGE_API_KEY": "s3cret.value+1", "HOME": "known form"}) == {"the value of $JUDGE_API_KEY"}
    assert kinds_in(path, {"SHORT_KEY": "of no"}) == set()


def test_findings_are_named_bounded_and_not_shown(tmp_path: Path) -> None:
    for at in range(40):
        (tmp_path / f"{at:02d}.md").write_text("\n".join(PLANTED.values()), encoding="utf-8")
    with pytest.raises(RefusedError) as caught:
        require_nothing_private(tmp_path, environment={})
    message = str(caught.value)
    assert message.count("\n") == 20
    assert "00.md, line 1: Hugging Face token" in message
    assert not any(planted in message for planted in PLANTED.values())


def test_only_what_public_texts_hold_can_be_accepted(tmp_path: Path) -> None:
    (tmp_path / "card.md").write_text(PLANTED["e-mail address"], encoding="utf-8")
    assert require_nothing_private(tmp_path, ["e-mail address"], {}) == 1
    with pytest.raises(RefusedError, match="e-mail"):
        require_nothing_private(tmp_path, ["personal path"], {})
    with pytest.raises(ValueError, match="cannot be accepted"):
        require_nothing_private(tmp_path, ["Hugging Face token"], {})


def test_patterns_are_read_alike_by_both_engines() -> None:
    texts = [*PLANTED.values(), *HARMLESS]
    for pattern in PATTERNS.values():
        found = pl.Series(texts).str.contains(pattern).to_list()
        assert found == [re.search(pattern, text) is not None for text in texts]
