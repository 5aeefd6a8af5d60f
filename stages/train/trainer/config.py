"""The config of the Step-KTO trainer: TRL's, with the step term's fields."""

from dataclasses import dataclass, field
from typing import Any

from trl import KTOConfig

from stages.train.trainer.loss import LossParams, ValueParams
from stages.train.trainer.step_logps import PassLayout
from stages.train.trainer.token_steps import AFTER_FIRST_ERROR

NLL_ON = ("completions", "steps")


def _field(default: Any, help_text: str) -> Any:
    return field(default=default, metadata={"help": help_text})


@dataclass
class StepKTOConfig(KTOConfig):
    """TRL's `KTOConfig` with the fields of the step term; raises `ValueError` for values it cannot use."""

    w_step: float = _field(1.0, "Weight of the step term, >= 0. The paper's value is not known.")
    after_first_error: str = _field(
        "keep",
        "Steps after the first incorrect one: `keep` their labels, `mask` them, or `truncate` the completion there. "
        "The paper's choice is not known.",
    )
    step_desirable_weight: float = _field(
        1.0, "lambda_D of correct steps, dimensionless, >= 0. The paper's value is not known."
    )
    step_undesirable_weight: float = _field(
        1.0, "lambda_U of incorrect steps, dimensionless, >= 0. The paper's value is not known."
    )
    step_beta: float | None = _field(None, "Beta of the step term, > 0. None: `beta`. The paper's value is not known.")
    normalize_by_length: bool = _field(
        False,
        "Divide the log-ratios of completions and steps, and so z0 and z_step, by their numbers of tokens (arXiv "
        "2411.15124; of log-probs, 2405.14734).",
    )
    nll_weight: float = _field(
        0.0,
        "Weight, >= 0, of a term that keeps what is correct likely: its mean negative log-probability per token, in "
        "nats (arXiv 2404.19733).",
    )
    nll_on: str = _field("completions", "What that term is of: correct `completions`, or correct `steps` of any.")
    z_clamp: bool = _field(True, "Hold z0 and z_step at 0 or above, as KTO does (arXiv 2402.01306).")
    z_momentum: float = _field(
        0.0,
        "Above 0 (and below 1), z0 and z_step are running means over optimizer steps, which keep this fraction of the "
        "last value (arXiv 2404.04656).",
    )
    precompute_ref_log_probs: bool = _field(
        True,
        "Must be true: the reference is the model as it is given to the trainer, and its log-probs are computed once "
        "per step before training.",
    )
    micro_batch_size: int | None = _field(
        None,
        "Rows per forward and backward pass, >= 1: a batch is split into rows of similar length, which saves padding "
        "and memory and changes no loss. None passes whole batches.",
    )
    packing: bool = _field(
        False,
        "Lay the rows of a pass end to end in one sequence, each attending to itself alone, instead of padding them. "
        "Losses differ by rounding alone.",
    )
    max_kl: float | None = _field(
        2.0, "Training stops when z0 exceeds this, in nats per completion token. None: no limit."
    )
    max_eos_drop: float | None = _field(
        5.0,
        "Training stops when the mean log-probability of the end token after correct completions has fallen by more "
        "than this since the first log, in nats: completions would no longer end. None: no limit.",
    )
    max_displacement: float | None = _field(
        0.02,
        "Training stops when correct completions or steps have lost more log-probability than this against the "
        "reference, in nats per token, while training accuracy has not risen. None: no limit.",
    )
    kl_block_size: int | None = _field(
        None,
        "Rows among which completions are rotated for the reference points, >= 2. None rotates them inside each batch "
        "of a device, as TRL does. A fixed value makes the loss independent of how the rows of an optimizer step are "
        "spread over passes and devices.",
    )
    reference_journal: str | None = _field(
        None,
        "File that keeps the reference's log-probs by content, so that another run over the same rows and model (with "
        "another beta, learning rate or weight) does not compute them again. None keeps nothing.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("w_step", "step_desirable_weight", "step_undesirable_weight", "nll_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected a number >= 0, found {getattr(self, name)!r}")
        for name, lowest in (("micro_batch_size", 1), ("kl_block_size", 2)):
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise ValueError(f"{name}: expected an integer >= {lowest}, found {value!r}")
        if self.step_beta is not None and self.step_beta <= 0:
            raise ValueError(f"step_beta: expected a number > 0, found {self.step_beta!r}")
        if not 0 <= self.z_momentum < 1:
            raise ValueError(f"z_momentum: expected a number from 0 to below 1, found {self.z_momentum!r}")
        if self.nll_on not in NLL_ON:
            raise ValueError(f"nll_on: expected one of {NLL_ON}, found {self.nll_on!r}")
        if self.after_first_error not in AFTER_FIRST_ERROR:
            raise ValueError(
                f"after_first_error: expected one of {AFTER_FIRST_ERROR}, found {self.after_first_error!r}"
            )
        if self.loss_type != "kto":
            raise ValueError(f"loss_type: the step term is defined for 'kto' only, found {self.loss_type!r}")
        if not self.precompute_ref_log_probs:
            raise ValueError("precompute_ref_log_probs: must be true, there is no reference model in the training loop")

    @property
    def layout(self) -> PassLayout:
        """The layout of forward passes."""
        return PassLayout(self.micro_batch_size, self.packing)

    @property
    def loss_params(self) -> LossParams:
        """The params of the loss itself."""
        step_beta = self.beta if self.step_beta is None else self.step_beta
        is_normalized = self.normalize_by_length
        return LossParams(
            ValueParams(self.beta, self.desirable_weight, self.undesirable_weight, is_normalized),
            ValueParams(step_beta, self.step_desirable_weight, self.step_undesirable_weight, is_normalized),
            self.w_step,
            self.nll_weight,
            "steps" if self.nll_on == "steps" else "completions",
        )
