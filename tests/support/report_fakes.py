"""A tree of stage reports as a run leaves it behind, for the report's tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

PASS = {"M0": 0.606, "M1": 0.824, "M2": 0.852, "M3": 0.862, "K1": 0.77, "K2": 0.829}
ERROR = {"M0": 0.403, "M1": 0.084, "M2": 0.052, "M3": 0.052, "K1": 0.148, "K2": 0.09}


def estimate(value: float, of: int = 500, width: float = 0.035) -> dict[str, Any]:
    return {
        "value": value,
        "low": max(0.0, value - width),
        "high": min(1.0, value + width),
        "numerator": round(value * of),
        "denominator": of,
    }


def example(kind: str, has_error: bool, is_correct: bool | None) -> dict[str, Any]:
    lines = ["Step 1: 76 + 2 = 78\n", f"Step 2: 78 + 8 = {76 if has_error else 86}\n", "Step 3: 86 % 10 = 6\n"]
    text = "".join(lines) + "The answer is \\boxed{6}"
    ends = [sum(map(len, lines[: at + 1])) for at in range(3)]
    steps = [{"start": end - len(line), "end": end, "label": True, "reason": "holds"}
             for end, line in zip(ends, lines, strict=True)]  # fmt: skip
    if has_error:
        steps[1] |= {"label": False, "reason": "78 + 8 is 86, not 76"}
    steps.append({"start": ends[-1], "end": len(text), "label": None, "reason": "no equation"})
    return {
        "kind": kind,
        "problem": "Mia has 76 cards. Day 1: finds 2. Day 2: wins 8. Last digit of the cards?",
        "gold": "6",
        "answer": "6",
        "is_correct": is_correct,
        "completion": text,
        "num_chars": len(text),
        "steps": steps,
        "finish_reason": "stop",
    }


def by_problem(num_correct: int, of: int, k: int) -> dict[str, Any]:
    """Counts of the first `num_correct` problems solved, by one answer and by the vote."""
    counts = {
        "numerators": " ".join("1" if at < num_correct else "0" for at in range(of)),
        "denominators": " ".join(["1"] * of),
    }
    return {"problems": f"{of} problems", "pass_at_1": counts, f"maj_at_{k}": counts}


def benchmark(name: str, of: int, k: int = 8) -> dict[str, Any]:
    """A benchmark's part of an evaluation's report: seven tenths of the split's fraction of correct answers."""
    share = round(PASS[name] * 0.7 * of) / of
    return {
        "origin": f"owner/name@{'0' * 40} test",
        "metrics": {
            "pass_at_1": estimate(share, of),
            f"maj_at_{k}": estimate(share, of),
            "stepwise_error": estimate(ERROR[name], round(share * of), 0.03),
            "stepwise_error_apparent": estimate(ERROR[name], round(share * of), 0.03),
            "stepwise_error_bias_corrected": estimate(ERROR[name] / 2, round(share * of), 0.03),
            "no_answer": estimate(0.05, of),
        },
        "num_rows": {"problems": of},
        "by_problem": by_problem(round(share * of), of, k),
    }


def evaluation(name: str, k: int = 8) -> dict[str, Any]:
    num_correct = round(PASS[name] * 500)
    kinds = [("correct answer, incorrect step", True, True), ("correct answer", False, True),
             ("incorrect answer", True, False)]  # fmt: skip
    return {
        "policy": f"{name.lower()}{'0' * 30}",
        "metrics": {
            "pass_at_1": estimate(PASS[name]),
            f"maj_at_{k}": estimate(min(1.0, PASS[name] + 0.05)),
            "stepwise_error": estimate(ERROR[name], num_correct, 0.03),
            "incorrect_answer_correct_steps": estimate(0.02, 500 - num_correct, 0.02),
            f"avg_at_{k}": estimate(PASS[name], 500 * k),
            "pass_at_2": estimate(min(1.0, PASS[name] + 0.04)),
            "unknown_steps": estimate(0.18, 2600, 0.01),
            "unknown_outcome": estimate(0.0),
            "no_answer": estimate(0.012),
            "truncated": estimate(0.004),
            "tokens_per_completion": {"value": 41.3, "low": 40.8, "high": 41.9, "numerator": 20650, "denominator": 500},
        },
        "num_rows": {"problems": 500},
        "by_problem": by_problem(num_correct, 500, k),
        "judge": {"name": "exact", "training_judge": "exact", "rates": None, "human_labels": human_labels()},
        "completion_tokens": 186_000,
        "examples": [example(*kinds[at % 3]) for at in range(12)],
    }


def human_labels() -> dict[str, Any]:
    """An evaluation's report on the judge's agreement with human labels."""
    return {
        "num_labels": 90,
        "num_matched": 80,
        "num_steps": 80,
        "confusion": {
            "correct": {"correct": 50, "incorrect": 2, "unknown": 4},
            "incorrect": {"correct": 4, "incorrect": 18, "unknown": 2},
        },
        "agreement": estimate(68 / 74, 74, 0.06),
        "kappa": {"value": 0.802, "low": 0.651, "high": 0.931},
        "rates": {"sensitivity": {"value": 0.85, "denominator": 20}, "specificity": {"value": None, "denominator": 0}},
    }


def quality(idle: int = 40, steps: int = 20_000) -> dict[str, Any]:
    """What the dataset stage tells of 4,000 solutions."""

    def share(number: int, of: int) -> dict[str, int]:
        return {"count": number, "total": of}

    contradictions = {
        "correct_with_incorrect_step": share(700, 2600),
        "incorrect_with_all_steps_correct": share(4, 1380),
    }
    return {
        **contradictions,
        "unknown_steps": share(4050, steps),
        "unknown_outcomes": share(20, 4000),
        "unanimous_steps": share(15_000, 15_950),
        "repeated_completions": share(1800, 4000),
        "short_steps": share(30, steps),
        "repeated_steps": share(41, steps),
        "idle_correct_steps": share(idle, 2000),
        "completions": 4000,
        "steps": steps,
        "steps_per_completion": {"4": 1000, "5": 2000, "6": 1000},
        "agreement": 0.97,
        "votes": {"5": steps},
        "by_source": {"olympiads": {"completions": 4000, **contradictions}},
        "by_length": {"0 to 249": {"completions": 4000, **contradictions}},
    }


def round_reports(name: str) -> dict[str, dict[str, Any]]:
    """Reports of one round by stage."""
    outcome = {"right": 2600, "wrong": 1380, "unknown": 20}
    step = {"right": 13_800, "wrong": 2_150, "unknown": 4_050}
    drop = {"rows": 3, "examples": [{"where": "sample 3f9a", "text": "Step 1: 12 + 2 = 14 Step 2: 14 + "}]}
    return {
        "sample": {
            "samples": 4000, "problems": 500, "prompt_tokens": 152_000, "completion_tokens": 163_000,
            "finish_reasons": {"stop": 3980, "length": 20},
            "drops": {},
        },
        "outcome": {"verdicts": outcome},
        "select": {
            "samples": 4000, "selected": 3960,
            "drops": {"outcome unknown": {"rows": 20, "examples": []}, "cut by the token limit": drop},
        },
        "split": {"scope": "all", "samples": 4000, "steps": 20_000},
        "judge": {"steps": 20_000, "labels": step},
        "dataset": {
            "rows": 3960,
            "labels": {
                "before": {"outcome": {"correct": 2600, "incorrect": 1380, "unknown": 20},
                           "step": {"correct": 13_800, "incorrect": 2_150, "unknown": 4_050}},
                "after": {"outcome": {"correct": 1300, "incorrect": 1300, "unknown": 0},
                          "step": {"correct": 9_000, "incorrect": 2_000, "unknown": 2_500}},
            },
            "scope": "all",
            "weights": {
                "outcome": {"desirable": 1.0, "undesirable": 1.88},
                "step": {"desirable": 1.0, "undesirable": 6.4},
            },
            "quality": quality(),
            "manifest": "9c41" * 8,
        },
        "train": {"rows": 3960, "dropped": {"too long": 2}, "method": "step_kto"},
        "evaluate": evaluation(name),
    }  # fmt: skip


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_recipe(path: Path, rounds: dict[str, Any], **report: Any) -> Path:
    """The project's recipe with other `rounds` and `report` settings."""
    recipe = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
    recipe["rounds"] = rounds
    recipe["report"] |= report
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


def write_stages(stages: Path, rounds: list[str]) -> Path:
    """The reports of M0 and of `rounds`."""
    drops = {
        "proof without an answer": {
            "rows": 14,
            "examples": [{"where": "olympiads:3", "text": "Prove that $a^2 \\ge 0$."}],
        },
        "source orca_math": {"rows": 31, "examples": [{"where": "orca_math:0", "text": "Tom has 3 apples."}]},
    }
    write(stages / "problems" / "all.json", {"drops": drops})
    write(stages / "seed_model" / "M0.json", {"loss": 0.4})
    write(stages / "evaluate" / "M0.json", evaluation("M0"))
    for name in rounds:
        for stage, report in round_reports(name).items():
            write(stages / stage / f"{name}.json", report)
    return stages
