"""Rebuild the history of published labels from a published folder alone, and count their votes again.

``python tools/provenance_reader.py FOLDER ROUND/SAMPLE_ID/STEP ...``; exit status 1 if a file or a label does not hold.
"""

import json
import re
import sys
import unicodedata
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]

Row = dict[str, Any]
TABLES = ("labels", "replies", "step_kto")
NAMES = {True: "correct", False: "incorrect", None: "unknown"}


def check_files(folder: Path) -> list[str]:
    """A line for each file of `folder` that is not as it was published."""
    first, checksum, rest = [*(folder / "manifest.json").read_bytes().split(b"\n", 2), b"", b""][:3]
    if (first, checksum) != (b"{", f' "checksum": "{sha256(rest).hexdigest()}",'.encode()):
        return ["manifest.json: changed"]
    published = json.loads(first + rest)["files"]
    names = {*published, *(path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet"))}
    found = {name: sha256((folder / name).read_bytes()).hexdigest() for name in names if (folder / name).is_file()}
    return [f"{name}: changed or missing" for name in sorted(names) if found.get(name) != published.get(name)]


def read_rows(folder: Path, label_ids: list[str]) -> dict[str, list[Row]]:
    """The rows of a configuration's folder by sample, for the samples of `label_ids`; none where it was left out."""
    rows: dict[str, list[Row]] = {label_id.split("/")[1]: [] for label_id in label_ids}
    keep = [("sample_id", "in", list(rows))]
    for row in pq.read_table(folder, filters=keep).to_pylist() if rows and folder.is_dir() else []:
        rows[row["sample_id"]].append(row)
    return rows


def hash_content(*parts: Any) -> str:
    """The project's content hash: 32 hex digits of the SHA-256 of canonical JSON."""
    return sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()[:32]


def read_vote(reply: Row, step: int) -> bool | None:
    """What a reply says of a step, counted from 0; None where it is invalid or says nothing."""
    if reply["error"] is not None or reply["text"] is None:
        return None
    value = json.loads(re.sub(r"^```.*\n|\n```$", "", reply["text"].strip()))
    if "verdicts" in value:
        return {each["step"]: bool(each["verdict"].lower() == "correct") for each in value["verdicts"]}[step + 1]
    return None if isinstance(first := value["first_error"], int) and 0 < first <= step else first != step + 1


def count_votes(row: Row, step: Row, attempts: list[Row], judge: Row) -> tuple[bool | None, float, list[int]]:
    """A step's label, its agreement, and the votes by `NAMES`; what a rule or a score gives is its one vote."""
    votes: list[list[bool | None]] = [[None] * step["num_votes"] for _ in row["judge_models"]]
    for reply in sorted(attempts, key=lambda reply: int(reply["attempt"])):
        votes[reply["judge_index"]][reply["vote"]] = read_vote(reply, step["step"])
    if judge["kind"] == "prm":
        score = re.search(r"score (\d\.\d+)$", step["reason"])
        is_known = score and not judge["incorrect_threshold"] <= float(score[1]) < judge["correct_threshold"]
        votes = [[float(score[1]) >= judge["correct_threshold"] if score and is_known else None]]
    votes = votes or [[step["label"]]]
    counts = [sum(of_model.count(value) for of_model in votes) for value in NAMES]
    agreements = {label: min(of_model.count(label) / len(of_model) for of_model in votes) for label in (True, False)}
    known = [(label, agreement) for label, agreement in agreements.items() if agreement >= judge["min_agreement"]]
    return *(known[0] if known else (None, 0.0)), counts


def print_history(row: Row, step: Row, attempts: list[Row], trained: list[Row], judge: Row) -> bool:
    """Print a label's history from its source row on; return whether each part follows from the rest."""
    given = not step["label"] if step["reason"].startswith("flipped on purpose: ") else step["label"]
    attempts = [reply for reply in attempts if reply["step"] in (-1, step["step"])]
    label, agreement, counts = count_votes(row, {**step, "label": given}, attempts, judge)
    problem, answer = (" ".join(unicodedata.normalize("NFC", row[key]).split()) for key in ("problem", "gold_answer"))
    sample = [row[key] for key in ("problem_id", "policy", "sampling_hash", "sample_index", "completion")]
    holds = {
        "problem_id": row["problem_id"] == hash_content("problem", problem, answer),
        "sample_id": row["sample_id"] == hash_content("sample", *sample),
        "label": (given, step["agreement"]) == (label, agreement) or (given, step["reason"][:9]) == (None, "retracted"),
        "votes": [step[f"votes_{name}"] for name in ("correct", "incorrect", "invalid")] in (counts, [None] * 3),
        "step_kto": all(each["steps"][step["step"]]["label"] is step["label"] for each in trained),
    }
    print(
        f"{row['round']}/{row['sample_id']}/{step['step']}",
        f"source row {row['origin_row']} of {row['origin']}",
        f"problem {row['problem_id']}: {problem[:80]!r}, gold answer {answer!r}",
        f"sample {row['sample_id']}: index {row['sample_index']} of policy {row['policy']}",
        f"step {step['step']} of {len(row['steps'])}: {row['completion'][step['start'] : step['end']]!r}",
        f"judge {step['judge']}: {judge['kind']} {judge['models']} with prompts {row['judge_prompts']}",
        *(f"vote {each['vote']}, reply {each['request_hash']}: {each['error'] or each['text']!r}" for each in attempts),
        f"counted {dict(zip(NAMES.values(), counts, strict=True))}: {NAMES[label]}, agreement {agreement:.3g}",
        f"label {NAMES[step['label']]}, agreement {step['agreement']:.3g}: {step['reason']!r}",
        *(f"error: {name} does not follow from the rest" for name in holds if not holds[name]),
        sep="\n  ",
    )
    return all(holds.values())


def main() -> int:
    """Print which files have changed, or else the history of each label; 1 if anything is wrong."""
    folder, ids = Path(sys.argv[1] if sys.argv[1:] else sys.exit(__doc__)), sys.argv[2:]
    if errors := check_files(folder):
        sys.exit("\n".join(errors))
    rounds = json.loads((folder / "manifest.json").read_bytes())["rounds"]
    tables = {(name, table): read_rows(folder / "data" / name / table, ids) for name in rounds for table in TABLES}
    are_sound = []
    for name, sample, number in (label_id.split("/") for label_id in ids):
        rows, attempts, trained = (tables[name, table][sample] for table in TABLES)
        found = [(row, step) for row in rows for step in row["steps"] if str(step["step"]) == number]
        are_sound += [print_history(*each, attempts, trained, rounds[name]["judge"]) for each in found]
        if not found:
            sys.exit(f"{name}/{sample}/{number}: no such label in {folder}")
    return 0 if all(are_sound) else 1


if __name__ == "__main__":
    sys.exit(main())
