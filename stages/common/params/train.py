"""Params of training."""

from typing import Any, Literal, Self, get_args

from pydantic import Field, model_validator

from stages.common.params.block import ParamsBlock

PairMethod = Literal["dpo", "ipo", "irpo", "simpo", "step_dpo"]

PAIR_METHODS: tuple[str, ...] = get_args(PairMethod)
"""Methods that train on pairs of completions or, `step_dpo`, of next steps."""

METHOD_DEFAULTS: dict[str, dict[str, float]] = {
    "irpo": {"nll_weight": 1.0},
    "simpo": {"beta": 2.5},
    "step_dpo": {"beta": 0.4},
}
"""Defaults that are not those of the other methods."""


class LoraParams(ParamsBlock):
    """`train.lora` block: adapters on all linear layers are trained instead of the weights, then merged into them.

    LoRA papers use rank 8 to 64 and alpha twice the rank.
    """

    rank: int = Field(default=16, ge=1)
    """Rank of each adapter."""
    alpha: float = Field(default=32.0, gt=0)
    """Adapters are scaled by alpha / rank."""
    load_in_4bit: bool = False
    """QLoRA: hold the frozen weights in 4 bits (NF4) while training; needs bitsandbytes."""


class LaunchParams(ParamsBlock):
    """`train.launch` block: training in several processes, started by ``accelerate launch``."""

    strategy: Literal["ddp", "fsdp2", "deepspeed"] = "fsdp2"
    """`ddp` holds all weights in every process; `fsdp2` (PyTorch) and `deepspeed` (ZeRO 3) shard them."""
    num_processes: int = Field(ge=2)
    """Over all machines. Each takes `batch_size` rows a pass, so their number changes what is trained."""
    num_machines: int = Field(default=1, ge=1)
    """Machines; each starts num_processes / num_machines processes."""

    @model_validator(mode="after")
    def _check_processes_per_machine(self) -> Self:
        if self.num_processes % self.num_machines:
            found = f"{self.num_processes} for {self.num_machines}"
            raise ValueError(f"num_processes: expected a multiple of num_machines, found {found}")
        return self


class TrainParams(ParamsBlock):
    """`train` block. The paper (arXiv 2501.10799): AdamW, lr 1e-6, 100 warm-up steps, cosine, clip 1.0, beta 0.1."""

    method: Literal["step_kto", "kto", "rft", PairMethod, "none"] = "step_kto"
    """Step-KTO, or another method on the same rows: KTO; RFT (supervised fine-tuning on correct completions); on pairs
    of a correct and an incorrect completion DPO, IPO, Iterative RPO and SimPO; on pairs of next steps Step-DPO. `none`
    trains nothing: the round ends with its data set, and its policy is a copy of the one it started from."""
    w_step: float = Field(default=1.0, ge=0)
    """Weight of the step term; the paper's value is not known."""
    after_first_error: Literal["keep", "mask", "truncate"] = "keep"
    """Steps after the first incorrect one: keep their labels, mask them, or truncate the completion there. A truncated
    completion keeps an incorrect outcome; a correct one is masked. The paper's choice is not known."""
    beta: float = Field(default=0.1, gt=0)
    """Strength of the pull towards the reference, in the outcome term and the step term. ipo: tau of its paper. simpo,
    which has no reference: the scale of its rewards, 2.5 by default (arXiv 2405.14734, for Llama 3 8B Instruct).
    step_dpo: 0.4 by default (arXiv 2406.18629). The paper's values for other methods than Step-KTO are not known."""
    simpo_gamma: float = Field(default=1.4, ge=0)
    """Of method simpo: by how much the chosen completion's reward should exceed the rejected one's (arXiv 2405.14734,
    for Llama 3 8B Instruct)."""
    step_beta: float | None = Field(default=None, gt=0)
    """Beta of the step term; null: that of the outcome term. The paper's value is not known."""
    normalize_by_length: bool = False
    """Divide log-ratios of completions and steps, and so z0 and z_step, by their numbers of tokens, as DPO normalized
    by length does (arXiv 2411.15124), and SimPO with log-probs (arXiv 2405.14734). They are small then: beta has to be
    raised by about the length of a completion, `step_beta` by that of a step."""
    nll_weight: float = Field(default=0.0, ge=0)
    """Weight of a term that keeps what is correct likely: its negative log-probability per token (RPO, IRPO: arXiv
    2404.19733, where it is 1: the default of method irpo). The paper has none. Of step_kto, kto and irpo."""
    nll_on: Literal["completions", "steps"] = "completions"
    """What that term is of: correct completions, or correct steps of any completion, each counting the same."""
    z_clamp: bool = True
    """Hold z0 and z_step at 0 or above, as KTO does (arXiv 2402.01306). false: they follow the policy below 0, so that
    a correct completion that loses less than others is above them."""
    z_momentum: float = Field(default=0.0, ge=0, lt=1)
    """Above 0: z0 and z_step are running means over optimizer steps, which keep this fraction of their last value, as
    BCO's reward shift is (arXiv 2404.04656)."""
    learning_rate: float = Field(default=1e-6, gt=0)
    """Peak learning rate of AdamW."""
    warmup_steps: int = Field(default=100, ge=0)
    """Optimizer steps in which the learning rate rises linearly from 0."""
    lr_scheduler_type: Literal["constant", "linear", "cosine"] = "cosine"
    """Learning rate after the warm-up."""
    num_epochs: int = Field(default=1, ge=1)
    """Passes over the data set."""
    batch_size: int = Field(default=8, ge=2)
    """Rows per batch and process."""
    micro_batch_size: int | None = Field(default=None, ge=1)
    """Rows per forward and backward pass: a batch is split into rows of similar length, with less padding and memory
    and the same loss; null: whole batches."""
    packing: bool = False
    """Lay the rows of a pass end to end instead of padding them, for methods step_kto and kto: the same loss but for
    rounding, which changes a policy's last bits, so that it is off unless asked for."""
    gradient_accumulation_steps: int = Field(default=1, ge=1)
    """Batches per optimizer step."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this norm."""
    max_length: int = Field(default=4096, ge=8)
    """Prompt and completion, in tokens; longer rows are dropped and counted, never cut. The paper's value is not
    known."""
    dtype: Literal["float32", "bfloat16", "auto"] = "bfloat16"
    """Of forward and backward passes; weights are kept and updated in float32. auto: bfloat16 on a GPU, and on a CPU
    where a probe finds it faster; weights then depend on the machine, and their manifest says which type it was."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    max_displacement: float | None = Field(default=0.02, gt=0)
    """Training warns, then stops, when correct completions or steps have lost more nats per token than this against the
    reference while training accuracy has not risen; null: never. Per token, so that it holds for completions of any
    length: healthy runs on toy arithmetic lose up to 0.007, and a run that it stopped there 0.3."""
    save_steps: int = Field(default=50, ge=1)
    """Optimizer steps between checkpoints, from which a killed run resumes."""
    lora: LoraParams | None = None
    """null: all weights are trained."""
    launch: LaunchParams | None = None
    """null: one process."""
    report_to: Literal["trackio", "tensorboard"] | None = None
    """Also log to that tracker; null: only the stage's report is written."""

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults_of_method(cls, value: Any) -> Any:
        defaults = METHOD_DEFAULTS.get(str(value.get("method")), {}) if isinstance(value, dict) else {}
        return {**defaults, **value} if defaults else value

    @model_validator(mode="after")
    def _check_pairs_are_not_sharded(self) -> Self:
        if self.method in PAIR_METHODS and self.launch and self.launch.strategy != "ddp":
            raise ValueError(f"method: {self.method} cannot be trained with {self.launch.strategy}; use strategy ddp")
        return self

    @model_validator(mode="after")
    def _check_4bit_is_not_sharded(self) -> Self:
        if self.lora and self.lora.load_in_4bit and self.launch and self.launch.strategy != "ddp":
            raise ValueError(f"lora.load_in_4bit: {self.launch.strategy} cannot shard 4-bit weights; use strategy ddp")
        return self

    @model_validator(mode="after")
    def _check_machines_agree_on_dtype(self) -> Self:
        if self.dtype == "auto" and self.launch and self.launch.num_machines > 1:
            raise ValueError("dtype: machines may choose different types by auto; set it to float32 or bfloat16")
        return self

    @model_validator(mode="after")
    def _check_options_of_method(self) -> Self:
        for name, off, methods in (
            ("nll_weight", 0.0, ("step_kto", "kto", "irpo")),
            ("packing", False, ("step_kto", "kto")),
        ):
            if self.method not in methods and getattr(self, name) != off:
                raise ValueError(f"{name}: expected {off} for method {self.method}, found {getattr(self, name)}")
        if self.nll_weight and self.nll_on == "steps" and self.method != "step_kto":
            raise ValueError(
                f"nll_on: expected completions for method {self.method}, which reads no steps, found steps"
            )
        return self
