"""The Step-KTO trainer: TRL's KTO trainer with a term for the steps."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate.utils.fsdp_utils import fsdp2_prepare_model
from datasets import Dataset, List, Value
from trl import KTOTrainer
from trl.models import prepare_deepspeed

from stages.common.errors import UserError
from stages.common.tables import DropLog
from stages.train.trainer.collator import (
    REFERENCE_COLUMNS,
    STEP_COLUMNS,
    StepCollator,
    add_filler_rows,
    add_mismatched_completions,
)
from stages.train.trainer.config import StepKTOConfig
from stages.train.trainer.divergence import DivergenceCallback, check_weights
from stages.train.trainer.divergence_signs import MISMATCHED, DivergenceLimits
from stages.train.trainer.encoding import encode_dataset
from stages.train.trainer.loss import compute_joint_loss
from stages.train.trainer.metrics import SumAndCount, compute_loss_metrics, compute_token_metrics, reduce_metrics
from stages.train.trainer.packing import use_packed_attention
from stages.train.trainer.preference_rows import read_preference_rows
from stages.train.trainer.reference_logps import (
    StepLogps,
    compute_reference_logps,
    describe_numerics,
    load_or_compute_reference_logps,
)
from stages.train.trainer.reference_point import StepReferencePoints, compute_reference_points
from stages.train.trainer.reference_point_estimator import ReferencePointEstimator
from stages.train.trainer.sampler_check import compare_with_sampler
from stages.train.trainer.sharding import keep_float32_outputs, no_grad_sync
from stages.train.trainer.step_logps import (
    Batch,
    compute_step_logps,
    compute_step_logps_without_grad,
    label_ratios,
    select_rows,
)

REFERENCE_POINTS = "reference_points"
"""Key under which a batch carries the reference points of its optimizer step."""


class StepKTOTrainer(KTOTrainer):
    """Minimizes L = L_outcome + w_step L_step (arXiv 2501.10799), with the model as it is given as the reference.

    `train_dataset` is what `encode_dataset` makes, or has the columns ``prompt``, ``completion``, ``label`` of TRL's
    unpaired preference format (plain text, or chat messages with one assistant message), and ``steps``: a list of
    {start, end, label} in code points of the completion, label None where unknown. Without ``steps`` the trainer is
    TRL's KTO. Rows are read in order. A row of another form raises `UserError`; rows over ``args.max_length`` are left
    out and counted in `drops`. `processing_class` is a fast tokenizer.

    Logged beside TRL's own names (``kl`` is z0, in nats): ``kl/step`` (z_step), ``kl/token`` (z0 over the mean
    length of mismatched completions), for z0 and z_step ``../unclamped`` (before the clamp at 0) and ``../clamped``
    (fraction of steps in which it holds them); ``log_ratios/mismatched/token`` (their log-ratio per token, without
    clamp and running mean); ``loss/outcome``, ``loss/step``, ``loss/nll``; ``log_ratios/chosen`` and ``rejected``
    in nats, with ``../token`` per token, and ``accuracy``, the fraction of completions whose log-ratio is on their
    label's side of z0, with ``../chosen`` and ``../rejected`` of one label; the same of labelled steps, and their
    rewards (beta times the log-ratio), under ``steps/`` with ``correct`` and ``incorrect``; ``logps/eos`` (mean
    log-prob of the last token of correct completions), ``padding`` (fraction of padded positions) and
    ``tokens_per_second``. A diverged run stops (`DivergenceCallback`).
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
        self._last_log: tuple[float, int] | None = None
        self._has_more_parts = False
        self._unlogged: list[dict[str, SumAndCount]] = []
        self._step_batches: list[Batch] = []
        self._loss_params = args.loss_params
        self._estimator = ReferencePointEstimator(args.z_clamp, args.z_momentum)
        limits = DivergenceLimits(args.max_kl, args.max_eos_drop, args.max_displacement)
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
            callbacks=[DivergenceCallback(limits, self.compute_last_metrics), self._estimator, *(callbacks or [])],
            **others,
        )
        if args.micro_batch_size is not None and self.aux_loss_enabled:
            raise UserError("micro_batch_size: must be None for a mixture of experts with a router loss")

    def create_accelerator_and_postprocess(self) -> None:
        """Called by the trainer."""
        super().create_accelerator_and_postprocess()
        self._is_fsdp2: bool = self.accelerator.is_fsdp2
        if self._is_fsdp2:
            keep_float32_outputs(self.accelerator)
            # TRL would now load a second model as the reference, and of a repository its newest revision. Until
            # `_precompute_ref_logps` it is not told of FSDP: the untrained policy itself is the reference.
            self.is_fsdp_enabled = False

    def _move_model_to_device(self, model: Any, device: torch.device) -> None:
        if not self._is_fsdp2:  # which moves a layer at a time
            super()._move_model_to_device(model, device)

    def _prepare_dataset(self, dataset: Dataset, processing_class: Any, args: StepKTOConfig, _name: str) -> Dataset:
        if "step_of_token" not in dataset.column_names:
            rows = read_preference_rows(dataset)
            dataset = encode_dataset(rows, processing_class, args.after_first_error, args.max_length, self.drops)
        dataset = add_mismatched_completions(dataset, args.kl_block_size or args.per_device_train_batch_size)
        # One process takes a shorter last batch as it is; several need batches of one length.
        multiple = args.per_device_train_batch_size * args.world_size if args.world_size > 1 else 1
        return add_filler_rows(dataset, multiple)

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        columns: list[str] = self._signature_columns  # type: ignore[has-type]
        self._signature_columns = [*columns, *(name for name in STEP_COLUMNS if name not in columns)]

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        # DeepSpeed's would round log-probs to the precision of the model.
        exact = {name: inputs[name].to(self.args.device) for name in REFERENCE_COLUMNS if name in inputs}
        return {**super()._prepare_inputs(inputs), **exact}

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        """Add the reference's log-probs by step, of each row's own and of its mismatched completion.

        TRL stores their sums over a row's steps. `args.reference_journal` keeps them by content.
        """
        self.is_fsdp_enabled = self.is_fsdp_enabled or self._is_fsdp2
        if self.args.packing:
            use_packed_attention(self.model)
        model = self.ref_model or self.model
        journal_path = self.args.reference_journal
        columns = load_or_compute_reference_logps(
            dataset,
            batch_size * self.accelerator.num_processes,
            f"{self._precompute_model_hash} {describe_numerics(self.accelerator, model, self.args)}",
            lambda rows: self._compute_reference_logps(rows, name, batch_size),
            Path(journal_path) if journal_path else None,
            self.accelerator,
        )
        if self.accelerator.is_main_process:
            compare_with_sampler(dataset, columns[""])
        for prefix, rows in columns.items():
            dataset = dataset.add_column(f"ref_{prefix}step_logps", rows, feature=List(Value("float32")))
        return dataset

    def _compute_reference_logps(self, dataset: Dataset, name: str, batch_size: int) -> Iterator[StepLogps]:
        loader_args = {"batch_size": batch_size, "collate_fn": self.data_collator}
        model = self.ref_model or self._place_model()
        desc = f"reference log-probs of {name} rows"
        return compute_reference_logps(dataset, desc, loader_args, model, self.args.layout, self.accelerator)

    def _place_model(self) -> Any:
        """The model before training has placed it, sharded where training will shard it."""
        if self._is_fsdp2:
            return fsdp2_prepare_model(self.accelerator, self.model)
        if not self.is_deepspeed_enabled:
            return self.model
        if self._precompute_engine is None:  # type: ignore[has-type]
            self._precompute_engine = prepare_deepspeed(self.model, self.accelerator)
        return self._precompute_engine

    def _reduce_mean(self, value: torch.Tensor) -> torch.Tensor:
        return self.accelerator.reduce(value, reduction="mean")

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """The batches of one optimizer step, each with the step's reference points."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self._last_log is None:
            self._last_log = (time.monotonic(), self._total_train_tokens)
        if batches:
            self._step_batches = batches
            points = self._compute_reference_points(self.model_wrapped, batches, self._estimator)
            batches = [{**batch, REFERENCE_POINTS: points} for batch in batches]
        return batches, items

    def _compute_reference_points(
        self, model: Any, batches: list[Batch], estimator: ReferencePointEstimator
    ) -> StepReferencePoints:
        return compute_reference_points(
            map(self._prepare_inputs, batches),
            lambda batch: compute_step_logps_without_grad(model, batch, "KL_", self.args.layout),
            self._reduce_mean,
            self._loss_params,
            estimator,
        )

    def compute_last_metrics(self) -> dict[str, float]:
        """Log-ratio per token of the last step's mismatched completions as the policy is now; none without a step."""
        if not self._step_batches:
            return {}
        points = self._compute_reference_points(self.model_wrapped, self._step_batches, ReferencePointEstimator())
        log_ratio, num_tokens, _ = self._reduce_mean(points.mismatched)
        return {MISMATCHED: (log_ratio / num_tokens).item()}

    def training_step(self, model: Any, inputs: Batch, *others: Any) -> torch.Tensor:
        """Forward and backward of one batch, in parts of `args.micro_batch_size` rows; returns the batch's loss."""
        batch = {name: value for name, value in inputs.items() if name != REFERENCE_POINTS}
        parts = self.args.layout.split(batch, "")
        losses = []
        for number, rows_B in enumerate(parts, 1):
            self._has_more_parts = number < len(parts)
            part = {
                **(select_rows(batch, rows_B) if len(parts) > 1 else batch),
                REFERENCE_POINTS: inputs[REFERENCE_POINTS],
            }
            with no_grad_sync(self.accelerator, model) if self._has_more_parts else contextlib.nullcontext():
                losses.append(super().training_step(model, part, *others))
        return torch.stack(losses).sum()

    def _compute_loss(self, model: Any, inputs: Batch, return_outputs: bool) -> torch.Tensor:
        if return_outputs:
            raise ValueError("the Step-KTO loss is computed without logits; there are no outputs to return")
        batch = self._prepare_inputs(inputs)
        points = batch.pop(REFERENCE_POINTS, None)
        if points is None:  # evaluation: the batch's own, without a running mean
            points = self._compute_reference_points(model, [batch], ReferencePointEstimator(self.args.z_clamp))
        logps_BS, output = compute_step_logps(model, batch, "", self.args.packing, self.aux_loss_enabled)
        outcomes, steps = label_ratios(logps_BS, batch)
        losses = compute_joint_loss((outcomes, points.outcome), (steps, points.step), self._loss_params)
        loss = points.num_passes * losses.total  # the trainer averages over passes, but parts of a mean are added up
        if self.aux_loss_enabled:
            loss = loss + self.router_aux_loss_coef * output.aux_loss
        metrics = compute_loss_metrics(points, outcomes, steps, losses, self._loss_params)
        self._record_metrics({**metrics, **compute_token_metrics(batch, output, outcomes)})
        return loss

    def _record_metrics(self, metrics: dict[str, SumAndCount]) -> None:
        """Collect a micro-batch's metrics; with a batch's last one, add the batch's metrics to TRL's log."""
        self._unlogged.append(metrics)
        if self._has_more_parts:
            return
        mode = "train" if self.model.training else "eval"
        values = reduce_metrics(self._unlogged, self._reduce_mean)
        self._unlogged.clear()
        num_tokens = values.pop("num_tokens")
        if mode == "train":
            self._total_train_tokens += round(num_tokens * self.accelerator.num_processes)
        self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
        for name, value in values.items():
            self._metrics[mode][name].append(value)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log `logs`, with the tokens of prompts and completions trained on per second since the last log."""
        if "loss" in logs and self._last_log is not None:
            (then, before), now = self._last_log, (time.monotonic(), self._total_train_tokens)
            logs["tokens_per_second"] = (now[1] - before) / max(now[0] - then, 1e-9)
            self._last_log = now
        super().log(logs, start_time)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        check_weights(self.model)
        super()._save_checkpoint(model, trial)
