"""Settings of the Step-KTO trainer, beside those of TRL's KTO trainer."""

from __future__ import annotations

from dataclasses import dataclass, field

from trl import KTOConfig

from stages.train.steps import AFTER_FIRST_ERROR


@dataclass
class StepKTOConfig(KTOConfig):
    """TRL's `KTOConfig` with the settings of the step term.

    Raises `ValueError` for a setting that the trainer cannot honour.
    """

    w_step: float = field(
        default=1.0,
        metadata={"help": "Weight of the step term, dimensionless, >= 0. The paper's value is not known."},
    )
    after_first_error: str = field(
        default="keep",
        metadata={
            "help": "Steps after the first wrong one: keep their labels, mask them, or truncate the completion there. "
            "The paper's choice is not known.",
            "choices": list(AFTER_FIRST_ERROR),
        },
    )
    step_desirable_weight: float = field(
        default=1.0,
        metadata={"help": "lambda_D of right steps, dimensionless, >= 0. The paper's value is not known."},
    )
    step_undesirable_weight: float = field(
        default=1.0,
        metadata={"help": "lambda_U of wrong steps, dimensionless, >= 0. The paper's value is not known."},
    )
    precompute_ref_log_probs: bool = field(
        default=True,
        metadata={
            "help": "Always true here: the reference is the model as it is given to the trainer, and its log-probs "
            "are computed once per step before training."
        },
    )

    pass_rows: int | None = field(
        default=None,
        metadata={
            "help": "Rows per forward and backward pass, >= 1: a batch is cut into parts of rows of like length, which "
            "saves padding and memory and changes no loss. None passes whole batches."
        },
    )
    max_kl: float | None = field(
        default=2.0,
        metadata={"help": "Training stops when z0 exceeds this, in nats per completion token. None: no limit."},
    )
    max_end_drop: float | None = field(
        default=5.0,
        metadata={
            "help": "Training stops when the mean log-probability of the end token behind right completions has fallen "
            "by more than this since the first log, in nats: completions would no longer end. None: no limit."
        },
    )
    mismatch_block: int | None = field(
        default=None,
        metadata={
            "help": "Rows among which completions are rotated for the reference points, >= 2. None rotates them inside "
            "each batch of a device, as TRL does. A value of its own makes the loss independent of how a step's rows "
            "are spread over passes and devices."
        },
    )
    reference_journal: str | None = field(
        default=None,
        metadata={
            "help": "File that keeps the reference's log-probs by content, so that another run over the same rows and "
            "model (with another beta, learning rate or weight) does not compute them again. None keeps nothing."
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("w_step", "step_desirable_weight", "step_undesirable_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected a number >= 0, found {getattr(self, name)!r}")
        if self.after_first_error not in AFTER_FIRST_ERROR:
            raise ValueError(
                f"after_first_error: expected one of {AFTER_FIRST_ERROR}, found {self.after_first_error!r}"
            )
        if self.pass_rows is not None and self.pass_rows < 1:
            raise ValueError(f"pass_rows: expected an integer >= 1, found {self.pass_rows!r}")
        if self.mismatch_block is not None and self.mismatch_block < 2:
            raise ValueError(f"mismatch_block: expected an integer >= 2, found {self.mismatch_block!r}")
        if self.loss_type != "kto":
            raise ValueError(f"loss_type: the step term is defined for 'kto' only, found {self.loss_type!r}")
        if not self.precompute_ref_log_probs:
            raise ValueError("precompute_ref_log_probs: must be true, there is no reference model in the training loop")
