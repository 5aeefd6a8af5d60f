"""Rows laid end to end: the same log-probs, losses and gradients as padded ones, and no row that sees another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses import FakeTensorMode
from trl.trainer.utils import add_fused_lm_head

from stages.common.errors import UserError
from stages.train import StepKTOConfig, StepKTOTrainer
from stages.train.trainer import packing
from stages.train.trainer.loss import NO_STEP, UNKNOWN
from stages.train.trainer.packing import attend_within_rows, use_packed_attention
from stages.train.trainer.step_logps import (
    Batch,
    PassLayout,
    compute_step_logps,
    compute_step_logps_without_grad,
)
from tests.support.tiny_policy import tiny_llama, tiny_mixtral, tiny_tokenizer
from tests.unit.test_train_trl import arguments, data, losses, perturb

VOCABULARY = 97

SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
}
"""Heads that share keys; weights large enough for each token to matter."""

MODELS: dict[str, Callable[[], Any]] = {
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**SHAPE)),
    "qwen2": lambda: transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**SHAPE, tie_word_embeddings=True)),
    "mistral, 5 tokens wide": lambda: transformers.MistralForCausalLM(
        transformers.MistralConfig(**SHAPE, sliding_window=5)
    ),
    "qwen3": lambda: transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**SHAPE, head_dim=32)),
}

Lengths = list[tuple[int, int]]
"""Tokens of each row's prompt and completion."""

MIXED: Lengths = [(3, 12), (9, 1), (1, 20), (4, 4), (7, 30)]


def make_model(name: str, is_packed: bool) -> Any:
    torch.manual_seed(0)
    model = MODELS[name]()
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    if is_packed:
        use_packed_attention(model)
    return model


def make_batch(lengths: Lengths, seed: int = 0) -> Batch:
    """Random rows with the given lengths, steps of one to five tokens, some of them unknown; padded at the end."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(map(sum, lengths))
    batch: Batch = {"step_labels": torch.full((len(lengths), longest), UNKNOWN)}
    for prefix in ("", "KL_"):
        shape = (len(lengths), longest)
        ids, steps = torch.zeros(shape, dtype=torch.int64), torch.full(shape, NO_STEP)
        mask, completion = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
        for row, (prompt, length) in enumerate(lengths):
            end = prompt + length
            ids[row, :end] = torch.randint(1, VOCABULARY, (end,), generator=generator)
            mask[row, :end], completion[row, prompt:end] = 1, 1
            sizes = torch.randint(1, 6, (length,), generator=generator)
            steps[row, prompt:end] = torch.arange(length).repeat_interleave(sizes)[:length]
            batch["step_labels"][row, : int(steps[row, end - 1]) + 1] = torch.randint(-1, 2, (1,), generator=generator)
        batch |= {f"{prefix}input_ids": ids, f"{prefix}attention_mask": mask}
        batch |= {f"{prefix}completion_mask": completion, f"{prefix}step_of_token": steps}
    batch["KL_steps"] = batch["step_labels"] != UNKNOWN
    return batch


def gradients_of(model: Any, logps_BS: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of a sum in which each step of each row has another weight."""
    model.zero_grad()
    (logps_BS * torch.linspace(-1, 1, logps_BS.numel()).view_as(logps_BS)).sum().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("name", MODELS)
def test_packed_rows_have_the_log_probs_and_gradients_of_padded_ones(name: str) -> None:
    padded, packed = make_model(name, False), make_model(name, True)
    batch = make_batch(MIXED)
    wanted, wanted_tokens = compute_step_logps(padded, batch, "")
    found, tokens = compute_step_logps(packed, batch, "", is_packed=True)
    assert wanted.std() > 1
    assert torch.allclose(found, wanted, atol=1e-5, rtol=1e-6)
    mask = batch["completion_mask"][:, 1:].bool()
    for values, expected in ((tokens.log_probs, wanted_tokens.log_probs), (tokens.entropy, wanted_tokens.entropy)):
        assert values.shape == expected.shape
        assert torch.allclose(values[mask], expected[mask], atol=1e-5)
    assert tokens.num_positions == batch["attention_mask"].sum() < wanted_tokens.num_positions
    wanted_gradients = gradients_of(padded, wanted)
    for parameter, gradient in gradients_of(packed, found).items():
        assert torch.allclose(gradient, wanted_gradients[parameter], atol=2e-5, rtol=1e-4), parameter


LENGTHS = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 12)), min_size=1, max_size=7)


@settings(max_examples=25, deadline=None)
@given(lengths=LENGTHS, max_rows=st.none() | st.integers(1, 7), seed=st.integers(0, 9))
def test_any_rows_in_any_layout(lengths: Lengths, max_rows: int | None, seed: int) -> None:
    batch = make_batch(lengths, seed)
    wanted = compute_step_logps(PADDED, batch, "KL_")[0].detach()
    for is_packed, model in ((False, PADDED), (True, PACKED)):
        found = compute_step_logps_without_grad(model, batch, "KL_", PassLayout(max_rows, is_packed))
        assert torch.allclose(found, wanted, atol=1e-5, rtol=1e-6)


PADDED, PACKED = make_model("llama", False), make_model("llama", True)


@given(lengths=LENGTHS, max_rows=st.none() | st.integers(1, 7), is_packed=st.booleans())
def test_passes_are_the_rows_once_each(lengths: Lengths, max_rows: int | None, is_packed: bool) -> None:
    passes = PassLayout(max_rows, is_packed).split(make_batch(lengths), "")
    assert sorted(torch.cat(passes).tolist()) == list(range(len(lengths)))
    most = max_rows or len(lengths)
    assert max(map(len, passes)) <= most
    assert len(passes) == -(-len(lengths) // most)


def test_packed_passes_have_about_the_same_number_of_tokens() -> None:
    batch = make_batch([(1, length) for length in range(1, 17)])
    sizes = [int(batch["attention_mask"][rows].sum()) for rows in PassLayout(4, True).split(batch, "")]
    assert max(sizes) - min(sizes) <= 12
    padded = [int(batch["attention_mask"][rows].sum()) for rows in PassLayout(4, False).split(batch, "")]
    assert max(padded) - min(padded) == 48


def test_no_row_sees_another() -> None:
    batch = make_batch(MIXED)
    before = compute_step_logps(PACKED, batch, "", is_packed=True)[0]
    batch["input_ids"][0, :15] = batch["input_ids"][0, :15].flip(0)
    after = compute_step_logps(PACKED, batch, "", is_packed=True)[0]
    assert torch.equal(before[1:], after[1:])
    assert not torch.allclose(before[0], after[0])


def test_the_first_token_of_a_row_is_never_predicted_from_the_row_before() -> None:
    """A row without a prompt: its first token has no log-prob, padded or packed."""
    batch = make_batch([(2, 6), (0, 6), (0, 3)])
    found = compute_step_logps(PACKED, batch, "", is_packed=True)[0]
    assert torch.allclose(found, compute_step_logps(PADDED, batch, "")[0], atol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: transformers.Lfm2ForCausalLM(
            transformers.Lfm2Config(**SHAPE, layer_types=["conv", "full_attention"], block_ff_dim=64)
        ),
        lambda: transformers.MambaForCausalLM(
            transformers.MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=1)
        ),
    ],
    ids=["convolutions", "recurrent"],
)
def test_models_whose_tokens_meet_outside_attention_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(UserError, match="packing: expected a model whose tokens meet in attention layers alone, found"):
        use_packed_attention(make())


def test_attention_that_is_more_than_attention_is_refused() -> None:
    shape = {**SHAPE, "head_dim": 16}
    model = transformers.Gemma2ForCausalLM(transformers.Gemma2Config(**shape))
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    use_packed_attention(model)
    with pytest.raises(UserError, match="packing: the model's attention has softcap; set packing: false"):
        compute_step_logps(model, make_batch(MIXED), "", is_packed=True)


def test_a_model_for_packed_rows_refuses_others_until_it_is_a_usual_one_again() -> None:
    model = make_model("llama", True)
    ids = torch.tensor([[5, 6, 7]])
    with pytest.raises(ValueError, match="reads packed rows alone"):
        model(input_ids=ids)
    model.set_attn_implementation("sdpa")
    assert torch.equal(model(input_ids=ids).logits, PADDED(input_ids=ids).logits)


def attend_row_by_row(*tensors: Any, scale: float, window_size: tuple[int, int], enable_gqa: bool) -> torch.Tensor:
    """What PyTorch says that `varlen_attn` computes, of query [N, heads, size] and so on, from plain arithmetic."""
    query, key, value, bounds, same, longest, _ = tensors
    assert torch.equal(bounds, same)
    assert longest == bounds.diff().max()
    assert window_size[1] == 0
    assert enable_gqa
    shared = query.shape[1] // key.shape[1]
    key, value = (tensor.repeat_interleave(shared, dim=1) for tensor in (key, value))
    row_N = torch.repeat_interleave(torch.arange(len(bounds) - 1), bounds.diff())
    back = torch.arange(len(query))[:, None] - torch.arange(len(query))
    sees = (row_N[:, None] == row_N) & (back >= 0)
    if window_size[0] >= 0:
        sees &= back <= window_size[0]
    scores = torch.einsum("qhd,khd->hqk", query, key) * scale
    return torch.einsum("hqk,khd->qhd", scores.masked_fill(~sees, -torch.inf).softmax(-1), value)


@pytest.mark.parametrize("window", [None, 4])
def test_the_one_call_on_gpus_says_what_the_calls_per_row_do(
    monkeypatch: pytest.MonkeyPatch, window: int | None
) -> None:
    query, key, value = (torch.randn(1, heads, 18, 16) for heads in (4, 2, 2))
    bounds = torch.tensor([0, 5, 17, 18], dtype=torch.int32)
    module = torch.nn.Identity()
    module.num_key_value_groups = 2
    wanted = attend_within_rows(module, query, key, value, None, 0.0, 0.25, window, bounds, 12)[0]
    monkeypatch.setattr(packing, "varlen_attn", attend_row_by_row)
    found = packing._attend_in_one_call(query, key, value, 0.25, window, bounds, 12)
    assert torch.allclose(found, wanted, atol=1e-6)


def test_the_one_call_on_gpus_is_one_that_pytorch_takes() -> None:
    """Arguments, shapes and that gradients flow: tensors of this mode have no values."""
    with FakeTensorMode():
        query, key, value = (torch.empty(1, heads, 18, 16, requires_grad=True) for heads in (4, 2, 2))
        bounds = torch.empty(4, dtype=torch.int32)
        output = packing._attend_in_one_call(query, key, value, 0.25, 4, bounds, 12)
        assert output.shape == (1, 18, 4, 16)
        output.sum().backward()
        assert key.grad is not None
        assert key.grad.shape == key.shape


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_flash_attention_is_attention_within_rows() -> None:
    padded, packed = (make_model("llama", is_packed).to("cuda") for is_packed in (False, True))
    batch = {name: value.to("cuda") for name, value in make_batch(MIXED).items()}
    with torch.autocast("cuda", torch.bfloat16):
        wanted = compute_step_logps(padded, batch, "")[1].log_probs
        found = compute_step_logps(packed, batch, "", is_packed=True)[1].log_probs
    assert (found - wanted).abs().mean() < 0.02


def make_trainer(folder: Path, experts: bool = False, **options: Any) -> StepKTOTrainer:
    tokenizer = tiny_tokenizer()
    model = (tiny_mixtral if experts else tiny_llama)(len(tokenizer))
    return StepKTOTrainer(model, StepKTOConfig(**arguments(folder, **options)), data(), tokenizer)


@pytest.mark.parametrize("options", [{}, {"after_first_error": "truncate"}, {"experts": True}], ids=str)
def test_the_loss_of_packed_batches_is_that_of_padded_ones(tmp_path: Path, options: dict[str, Any]) -> None:
    padded, packed = (make_trainer(tmp_path, packing=is_packed, **options) for is_packed in (False, True))
    for column in ("ref_step_logps", "ref_KL_step_logps"):
        rows = zip(packed.train_dataset[column], padded.train_dataset[column], strict=True)
        assert all(found == pytest.approx(wanted, abs=1e-5) for found, wanted in rows)
    perturb(padded.model), perturb(packed.model)
    for (loss, gradients), (wanted, wanted_gradients) in zip(losses(packed), losses(padded), strict=True):
        assert loss == pytest.approx(wanted, abs=1e-5)
        for name, gradient in gradients.items():
            assert torch.allclose(gradient, wanted_gradients[name], atol=1e-5, rtol=1e-4), name
    assert set(packed._metrics["train"]) == set(padded._metrics["train"])
    for name in packed._metrics["train"].keys() - {"padding"}:
        assert packed._metrics["train"][name] == pytest.approx(padded._metrics["train"][name], abs=1e-4), name
    assert set(packed._metrics["train"]["padding"]) == {0.0} != set(padded._metrics["train"]["padding"])


def test_a_packed_run_resumes(tmp_path: Path) -> None:
    options = {"packing": True, "micro_batch_size": 3, "learning_rate": 3e-3, "save_steps": 4}
    whole, resumed = (make_trainer(tmp_path, **options) for _ in range(2))
    whole.train()
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert whole.state.global_step == resumed.state.global_step == 9
    for name, weight in whole.model.named_parameters():
        assert torch.equal(weight, resumed.model.get_parameter(name)), name
