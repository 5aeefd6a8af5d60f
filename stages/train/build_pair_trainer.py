"""Methods on preference pairs: their pairs, and TRL's trainers with the losses of the papers."""

from typing import Any

from datasets import Dataset
from transformers import Trainer
from trl import DPOConfig

from stages.common.params.train import TrainParams
from stages.common.tables import DropLog
from stages.train.dataset_folder import DatasetFolder, read_pairs, read_rows
from stages.train.trainer.divergence import DivergenceCallback
from stages.train.trainer.divergence_signs import DivergenceLimits
from stages.train.trainer.dpo_trainer import EncodedDPOTrainer
from stages.train.trainer.encoding import encode_by_name
from stages.train.trainer.last_update import LastUpdateMixin
from stages.train.trainer.pair_encoding import encode_pairs


def encode_pair_rows(params: TrainParams, dataset: DatasetFolder, tokenizer: Any, drops: DropLog) -> Dataset:
    """The pairs that `params.method` trains on, encoded; the rest is counted in `drops`.

    Raises `UserError` where the data set has no pairs, or none is left.
    """
    pairs = read_pairs(dataset, of_steps=params.method == "step_dpo")
    names = {name for pair in pairs for name in (pair.chosen, pair.rejected)}
    rows = (row for row in read_rows(dataset, with_steps=params.method == "step_dpo") if row.name in names)
    return encode_pairs(pairs, encode_by_name(rows, tokenizer, drops), params.max_length, drops)


def build_pair_trainer(
    params: TrainParams, arguments: dict[str, Any], model: Any, rows: Dataset, shared: dict[str, Any]
) -> Trainer:
    """TRL's trainer for `params.method` over `rows`; `shared` goes to its constructor, `arguments` to its config.

    A pair counts as two rows of `train.batch_size`: batches hold as many completions as other methods'. Every pair fits
    `train.max_length` already.
    """
    arguments |= {
        "per_device_train_batch_size": params.batch_size // 2,
        "beta": params.beta,
        "train_sampling_strategy": "sequential",
    }
    trainer: LastUpdateMixin
    nll_metric = None
    if params.method == "simpo":
        from stages.train.trainer.simpo_trainer import NLL_METRIC, CPOConfig, EncodedSimPOTrainer

        nll_metric = NLL_METRIC

        cpo_config = CPOConfig(
            **arguments,
            max_length=params.max_length,
            remove_unused_columns=False,
            loss_type="simpo",
            cpo_alpha=0.0,  # SimPO has no likelihood term
            simpo_gamma=params.simpo_gamma,
        )
        trainer = EncodedSimPOTrainer(model, cpo_config, train_dataset=rows, **shared)
    else:
        losses = {"ipo": 1.0} if params.method == "ipo" else {"sigmoid": 1.0}
        if params.method == "irpo":
            losses["sft"] = params.nll_weight
        dpo_config = DPOConfig(
            **arguments,
            max_length=None,
            loss_type=list(losses),
            loss_weights=list(losses.values()),
            precompute_ref_log_probs=True,
        )
        trainer = EncodedDPOTrainer(model, args=dpo_config, train_dataset=rows, **shared)
    limits = DivergenceLimits(max_displacement=params.max_displacement, nll_metric=nll_metric)
    trainer.add_callback(DivergenceCallback(limits, trainer.compute_last_metrics))
    return trainer
