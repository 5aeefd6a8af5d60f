"""The Step-KTO trainer: TRL's KTO trainer with a term for the steps."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from datasets import Dataset, List, Value
from trl import KTOTrainer
from trl.models import prepare_deepspeed

from stages.common.tables import DropLog
from stages.train import metrics
from stages.train.anchors import Anchors, anchors
from stages.train.collator import STEP_COLUMNS, StepCollator
from stages.train.config import StepKTOConfig
from stages.train.forward import Batch, by_length, step_logps, step_logps_in_parts, take
from stages.train.guard import CollapseGuard, check_weights
from stages.train.loss import UNKNOWN, Level, level_loss
from stages.train.preference import preference_rows
from stages.train.reference import Sums, reference_logps
from stages.train.scoring import numerics, score
from stages.train.shards import keep_precision, shard, waiting
from stages.train.table import encode_dataset, filled_up, with_mismatched

SHARED = "shared"
"""Where a batch carries what its optimiser step shares."""

REFERENCE = ("ref_step_logps", "ref_KL_step_logps")
"""Columns of the reference's log-probs."""


class StepKTOTrainer(KTOTrainer):
    """Minimises L = L_outcome + w_step L_step (arXiv 2501.10799), against the model as it is given.

    `train_dataset` is what `stages.train.table.encode_dataset` makes, or has the columns ``prompt``, ``completion``,
    ``label`` of TRL's unpaired preference format (plain text, or chat messages with one assistant message), and
    ``steps``: a list of {start, end, label} in code points of the completion, label None where unknown. Without
    ``steps`` the trainer is TRL's KTO. Rows are read in order. A row of another form raises `ValueError`; rows over
    ``args.max_length`` are left out and counted in `drops`. `processing_class` is a fast tokenizer.

    Logged beside TRL's own names (``kl`` is z0): ``kl/step`` (z_step), ``loss/outcome``, ``loss/step``, and of labelled
    steps ``steps/rewards/right``, ``steps/rewards/wrong``, ``steps/rewards/margins`` (beta times the log-ratio) and
    ``steps/accuracy``, the share whose log-ratio lies on its label's side of z_step; ``kl/token`` (z0 over the mean
    length of mismatched completions), ``logps/end`` (mean log-probability of the last token of right completions),
    ``padding`` (share of padded places) and ``tokens_per_second``. `stages.train.guard` says when training stops.
    """

    def __init__(
        self,
        model: Any,
        args: StepKTOConfig,
        train_dataset: Dataset,
        processing_class: Any,
        callbacks: list[Any] | None = None,
        **others: Any,
    ) -> None:
        self.drops = DropLog()
        self._logged: tuple[float, int] | None = None
        self._more_parts = False
        self._unlogged: list[dict[str, metrics.Share]] = []
        pad = processing_class.pad_token_id
        collator = StepCollator(
            pad_token_id=processing_class.eos_token_id if pad is None else pad,
            pad_to_multiple_of=args.pad_to_multiple_of,
        )
        super().__init__(
            model=model,
            args=args,
            train_dataset=train_dataset,
            processing_class=processing_class,
            data_collator=collator,
            callbacks=[CollapseGuard(), *(callbacks or [])],
            **others,
        )
        if args.pass_rows is not None and self.aux_loss_enabled:
            raise ValueError("pass_rows: must be None for a mixture of experts with a router loss")

    def create_accelerator_and_postprocess(self) -> None:
        """Called by the trainer."""
        super().create_accelerator_and_postprocess()
        self._fsdp2: bool = self.accelerator.is_fsdp2
        if self._fsdp2:
            keep_precision(self.accelerator)
            # TRL would now load a second model as the reference, and of a repository its newest revision. It is not
            # told of FSDP before `_precompute_ref_logps`: the policy itself, not yet trained, is the reference.
            self.is_fsdp_enabled = False

    def _move_model_to_device(self, model: Any, device: torch.device) -> None:
        if not self._fsdp2:  # which moves a layer at a time
            super()._move_model_to_device(model, device)

    def _prepare_dataset(self, dataset: Dataset, processing_class: Any, args: StepKTOConfig, _name: str) -> Dataset:
        if "completion_ids" not in dataset.column_names:
            dataset = encode_dataset(
                preference_rows(dataset), processing_class, args.after_first_error, args.max_length, self.drops
            )
        dataset = with_mismatched(dataset, args.mismatch_block or args.per_device_train_batch_size)
        # One process takes a shorter last batch as it is; several need batches of one length.
        several = args.world_size > 1
        return filled_up(dataset, args.per_device_train_batch_size * args.world_size if several else 1)

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        columns: list[str] = self._signature_columns  # type: ignore[has-type]
        self._signature_columns = [*columns, *(name for name in STEP_COLUMNS if name not in columns)]

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        # DeepSpeed's would round log-probs to the precision of the model.
        exact = {name: inputs[name].to(self.args.device) for name in REFERENCE if name in inputs}
        return {**super()._prepare_inputs(inputs), **exact}

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        """Add the reference's log-probs per step, of each row's own and of its mismatched completion.

        Their sums over a row's steps are what TRL stores. `args.reference_journal` keeps them by content.
        """
        self.is_fsdp_enabled = self.is_fsdp_enabled or self._fsdp2
        model = self.ref_model or self.model
        keep = self.args.reference_journal
        columns = reference_logps(
            dataset,
            batch_size * self.accelerator.num_processes,
            f"{self._precompute_model_hash} {numerics(self.accelerator, model, self.args)}",
            lambda rows: self._score(rows, name, batch_size),
            Path(keep) if keep else None,
            self.accelerator.is_main_process,
            lambda found: broadcast_object_list([found])[0],
        )
        for prefix, rows in columns.items():
            dataset = dataset.add_column(f"ref_{prefix}step_logps", rows, feature=List(Value("float32")))
        return dataset

    def _score(self, dataset: Dataset, name: str, batch_size: int) -> Iterator[Sums]:
        batches = {"batch_size": batch_size, "collate_fn": self.data_collator}
        model = self.ref_model or self._placed_model()
        return score(
            dataset, f"reference log-probs of {name} rows", batches, model, self.args.pass_rows, self.accelerator
        )

    def _placed_model(self) -> Any:
        """The model that is to be trained, before training has placed it, in shards where it will be."""
        if self._fsdp2:
            return shard(self.model, self.accelerator)
        if not self.is_deepspeed_enabled:
            return self.model
        if self._precompute_engine is None:  # type: ignore[has-type]
            self._precompute_engine = prepare_deepspeed(self.model, self.accelerator)
        return self._precompute_engine

    def _mean(self, value: torch.Tensor) -> torch.Tensor:
        return self.accelerator.reduce(value, reduction="mean")

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """The batches of one optimiser step, each with what their entries share."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self._logged is None:
            self._logged = (time.monotonic(), self._total_train_tokens)
        if batches:
            shared = self._shared(self.model_wrapped, batches)
            batches = [{**batch, SHARED: shared} for batch in batches]
        return batches, items

    def _shared(self, model: Any, batches: list[Batch]) -> Anchors:
        return anchors(
            map(self._prepare_inputs, batches),
            lambda batch: step_logps_in_parts(model, batch, "KL_", self.args.pass_rows),
            self._mean,
        )

    def training_step(self, model: Any, inputs: Batch, *others: Any) -> torch.Tensor:
        """Forward and backward of one batch, in parts of `args.pass_rows` rows; returns the batch's loss."""
        batch = {name: value for name, value in inputs.items() if name != SHARED}
        parts = by_length(batch, "", self.args.pass_rows)
        losses = []
        for number, rows_B in enumerate(parts, 1):
            self._more_parts = number < len(parts)
            part = take(batch, rows_B) if len(parts) > 1 else batch
            with waiting(self.accelerator, model) if self._more_parts else contextlib.nullcontext():
                losses.append(super().training_step(model, {**part, SHARED: inputs[SHARED]}, *others))
        return torch.stack(losses).sum()

    def _compute_loss(self, model: Any, inputs: Batch, return_outputs: bool) -> torch.Tensor:
        if return_outputs:
            raise ValueError("the Step-KTO loss is computed without logits; there are no outputs to return")
        batch = self._prepare_inputs(inputs)
        shared = batch.pop(SHARED, None) or self._shared(model, [batch])
        logps_BS, output = step_logps(model, batch, "", self.aux_loss_enabled)
        outcome, step = self._levels(logps_BS - batch["ref_step_logps"], batch)
        # The trainer averages over passes; shares of a mean are to be added up.
        outcome_loss = shared.passes * level_loss(outcome, shared.outcome, self.beta)
        step_loss = shared.passes * level_loss(step, shared.step, self.beta)
        loss = outcome_loss + self.args.w_step * step_loss
        if self.aux_loss_enabled:
            loss = loss + self.router_aux_loss_coef * output.aux_loss
        levels = metrics.of_levels(shared, (outcome, outcome_loss), (step, step_loss), self.beta)
        self._record({**levels, **metrics.of_tokens(batch, output, outcome)})
        return loss

    def _levels(self, ratio_BS: torch.Tensor, batch: Batch) -> tuple[Level, Level]:
        labels_BS = batch["step_labels"]
        outcome = Level(
            log_ratio=ratio_BS.sum(1),
            right=batch["label"].bool(),
            known=batch["outcome_known"],
            desirable=self.desirable_weight,
            undesirable=self.undesirable_weight,
        )
        step = Level(
            log_ratio=ratio_BS,
            right=labels_BS == 1,
            known=labels_BS != UNKNOWN,
            desirable=self.args.step_desirable_weight,
            undesirable=self.args.step_undesirable_weight,
        )
        return outcome, step

    def _record(self, shares: dict[str, metrics.Share]) -> None:
        """Keep what is logged of a part; with a batch's last part, hand the batch's figures to TRL's log."""
        self._unlogged.append(shares)
        if self._more_parts:
            return
        mode = "train" if self.model.training else "eval"
        values = metrics.averages(self._unlogged, self._mean)
        self._unlogged.clear()
        tokens = values.pop("num_tokens")
        if mode == "train":
            self._total_train_tokens += round(tokens * self.accelerator.num_processes)
        self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
        for name, value in values.items():
            self._metrics[mode][name].append(value)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log `logs`, with the tokens of prompts and completions trained on per second since the last log."""
        if "loss" in logs and self._logged is not None:
            (then, before), now = self._logged, (time.monotonic(), self._total_train_tokens)
            logs["tokens_per_second"] = (now[1] - before) / max(now[0] - then, 1e-9)
            self._logged = now
        super().log(logs, start_time)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        check_weights(self.model)
        super()._save_checkpoint(model, trial)
