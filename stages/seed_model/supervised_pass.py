"""Kind sft: a model that exists, after a supervised pass over reference solutions; a killed pass resumes."""

import math
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.common.errors import UserError, describe_error
from stages.common.params.problems import SchoolProblemsParams
from stages.common.params.runtime import RuntimeParams
from stages.common.params.sample import PromptParams
from stages.common.params.seed_model import SupervisedParams
from stages.common.policies import read_policy, write_manifest
from stages.common.prompt import make_prompt
from stages.common.runs import record_facts
from stages.common.school import make_problems
from stages.common.tables import content_hash, replace_dir, seed_from
from stages.common.training.silence import silence_libraries

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHECKPOINT_ROOT = Path("work/train")
"""Folder of checkpoints, below the repository's root: ignored by Git and DVC."""

LOGGED_STEPS = 10
"""Optimizer steps of one loss in the report, their mean."""


@dataclass(frozen=True)
class SupervisedInputs:
    """Everything that determines the weights."""

    params: SupervisedParams
    prompt: PromptParams
    problems: SchoolProblemsParams
    seed: int
    base: str
    """Hash of the policy to begin with."""

    @property
    def made_from(self) -> dict[str, str | int]:
        """The inputs by content, as the policy's manifest names them."""
        blocks = [self.params.model_dump(mode="json"), self.prompt.model_dump(mode="json")]
        factors = [self.problems.min_factor, self.problems.max_factor]
        return {"base": self.base, "params_hash": content_hash("sft", *blocks, factors), "seed": self.seed}


def run_supervised_pass(
    inputs: SupervisedInputs, base: Path, runtime: RuntimeParams, out: Path, checkpoint_root: Path = CHECKPOINT_ROOT
) -> dict[str, Any]:
    """Train the policy in `base`, write the policy `out`, and return the report.

    Checkpoints are kept in `checkpoint_root` under a hash of the inputs and rows, and deleted once `out` is written.
    Raises `UserError` where the model cannot be trained on the rows, and when training diverges.
    """
    silence_libraries()
    # Only now: torch, transformers and TRL take seconds to import.
    from transformers import PrinterCallback

    from stages.common.device import prepare_torch
    from stages.common.training.checkpoints import MarkCompleteCallback, find_last_complete, lock_checkpoints
    from stages.common.training.metrics_callback import MetricsCallback
    from stages.common.training.supervised import make_supervised_trainer, make_trainer_args

    device, policy = prepare_torch(runtime), read_policy(base)
    tokenizer = policy.load_tokenizer()
    rows = list(_encode_rows(inputs, tokenizer))
    # The rows too: a generator that words its problems anew leaves the inputs as they are.
    checkpoints = checkpoint_root / content_hash("checkpoints", inputs.made_from, rows)
    with lock_checkpoints(checkpoints):
        resumed = find_last_complete(checkpoints)
        model = policy.load_model(device, "float32")
        arguments = make_trainer_args(inputs.params, seed_from("sft", inputs.seed), device, checkpoints)
        callbacks = [MarkCompleteCallback()]
        trainer = make_supervised_trainer(model, arguments, rows, processing_class=tokenizer, callbacks=callbacks)
        trainer.remove_callback(PrinterCallback)
        with closing(MetricsCallback("seed model")) as shown:
            trainer.add_callback(shown)
            trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
        losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
        if not all(map(math.isfinite, losses)) or not all(bool(it.isfinite().all()) for it in model.parameters()):
            raise UserError("seed_model.sft: losses or weights are not finite; lower seed_model.sft.learning_rate")
        model.config.use_cache = True  # gradient checkpointing turns it off, and the policy will be sampled from
        with replace_dir(out) as folder:
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            write_manifest(folder, {"kind": "sft", **inputs.made_from})
        record_facts(device=device, resumed_from_step=int(resumed.name.partition("-")[2]) if resumed else None)
        shutil.rmtree(checkpoints)
    tokens = sum(len(ids) for row in rows for ids in row.values())
    history = [losses[start : start + LOGGED_STEPS] for start in range(0, len(losses), LOGGED_STEPS)]
    return {
        "made_from": inputs.made_from,
        "policy": read_policy(out).hash,
        "parameters": model.num_parameters(),
        "rows": len(rows),
        "tokens": tokens,
        "tokens_seen": tokens * inputs.params.num_epochs,
        "num_steps": trainer.state.global_step,
        "loss": sum(history[-1]) / len(history[-1]),
        "history": [sum(each) / len(each) for each in history],
    }


def _encode_rows(inputs: SupervisedInputs, tokenizer: "PreTrainedTokenizerBase") -> Iterator[dict[str, list[int]]]:
    """Prompts as engines encode them, and solutions closed by the end token, each tokenized on its own.

    So the ids are those that sampling sees: what a prompt's end and a solution's start might make together is not.
    """
    from jinja2 import TemplateError

    if tokenizer.eos_token_id is None:
        raise UserError(
            f"seed_model.sft: the tokenizer {type(tokenizer).__name__} has no end token; name another model"
        )
    for row in make_problems("corpus", inputs.params.num_rows, inputs.seed, inputs.problems):
        prompt = make_prompt(row["problem"], inputs.prompt)
        try:
            if isinstance(prompt, str):
                prompt_ids = tokenizer(prompt)["input_ids"]
            else:
                prompt_ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
        except (TemplateError, ValueError, TypeError) as error:
            raise UserError(
                f"seed_model.sft: chat template: {describe_error(error)}; set sample.prompt.chat"
            ) from error
        solution_ids = tokenizer(row["solution"], add_special_tokens=False)["input_ids"]
        yield {"prompt_ids": list(prompt_ids), "completion_ids": [*solution_ids, tokenizer.eos_token_id]}
