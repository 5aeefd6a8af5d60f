"""The config of the Step-KTO trainer: TRL's, with the step term's fields."""

from dataclasses import dataclass, field
from typing import Any

from trl import KTOConfig

from stages.train.trainer.step_logps import PassLayout
from stages.train.trainer.token_steps import AFTER_FIRST_ERROR


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
        for name in ("w_step", "step_desirable_weight", "step_undesirable_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected a number >= 0, found {getattr(self, name)!r}")
        for name, lowest in (("micro_batch_size", 1), ("kl_block_size", 2)):
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise ValueError(f"{name}: expected an integer >= {lowest}, found {value!r}")
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
