"""M0 from models that exist already: folders, GGUF files and the Hub's cache; refusals are one line with the hint."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stages.common.errors import UserError
from stages.common.params.block import ParamsError, validate
from stages.common.params.runtime import RuntimeParams
from stages.common.params.seed_model import SeedModelParams
from stages.common.policies import read_policy
from stages.seed_model import write_seed_policy
from tests.support.small_llama import write_small_llama

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_llama(tmp_path_factory.mktemp("model") / "mine", hidden=16, layers=1)


def copy_of(model: Path, folder: Path) -> Path:
    shutil.copytree(model, folder)
    return folder


def make_m0(out: Path, source: Path) -> Path:
    params = validate(SeedModelParams, {"kind": "folder", "folder": {"path": str(source)}}, "seed_model")
    write_seed_policy(params, 1, RuntimeParams(), out)
    return out


def test_a_folder_is_known_by_its_files_and_not_by_its_path(model: Path, tmp_path: Path) -> None:
    other = copy_of(model, tmp_path / "elsewhere")
    (other / "optimizer.pt").write_bytes(b"left behind")
    (other / "README.md").write_text("a card")
    one, two = (make_m0(tmp_path / name, source) for name, source in (("a", model), ("b", other)))
    assert read_policy(one).hash == read_policy(two).hash
    assert (one / "manifest.json").read_bytes() == (two / "manifest.json").read_bytes()
    assert str(model) not in (one / "manifest.json").read_text()
    assert {path.name for path in two.iterdir()}.isdisjoint({"optimizer.pt", "README.md"})
    assert read_policy(one).load_model().num_parameters() > 0
    assert read_policy(one).load_tokenizer().chat_template
    with (other / "config.json").open("a") as file:
        file.write("\n")
    assert read_policy(make_m0(tmp_path / "c", other)).hash != read_policy(one).hash


def test_shards_are_those_of_the_index(model: Path, tmp_path: Path) -> None:
    other = copy_of(model, tmp_path / "sharded")
    (other / "model.safetensors").rename(other / "model-00001-of-00001.safetensors")
    index = {"metadata": {}, "weight_map": {"model.norm.weight": "model-00001-of-00001.safetensors"}}
    (other / "model.safetensors.index.json").write_text(json.dumps(index))
    (other / "consolidated.safetensors").write_bytes(b"another format of the same weights")
    names = {path.name for path in make_m0(tmp_path / "M0", other).iterdir()}
    assert "model-00001-of-00001.safetensors" in names
    assert "consolidated.safetensors" not in names
    (other / "model-00001-of-00001.safetensors").unlink()
    with pytest.raises(UserError, match=r"model-00001-of-00001\.safetensors is missing.*copy the model again"):
        make_m0(tmp_path / "M0", other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda it: shutil.rmtree(it), "no such folder; name one that holds config.json"),
        (lambda it: (it / "config.json").unlink(), r"no config\.json"),
        (lambda it: (it / "config.json").rename(it / "adapter_config.json"), "is an adapter; merge it"),
        (lambda it: (it / "model.safetensors").unlink(), "other formats are not loaded"),
        (lambda it: (it / "model.safetensors").rename(it / "pytorch_model.bin"), "pickled weights run code.*convert"),
        (lambda it: (it / "tokenizer.json").write_text("{"), "cannot load config and tokenizer"),
        (lambda it: (it / "config.json").write_text('{"model_type": "vit"}'), "vit: not a causal language model"),
        (lambda it: (it / "config.json").write_text('{"auto_map": {"AutoConfig": "a.B"}}'), "cannot load config"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(model: Path, tmp_path: Path, change: object, message: str) -> None:
    change(copy_of(model, tmp_path / "bad"))  # type: ignore[operator]
    with pytest.raises(UserError, match=message) as caught:
        make_m0(tmp_path / "M0", tmp_path / "bad")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "M0").exists()


@pytest.mark.parametrize("kind", ["hub", "folder"])
def test_a_kind_that_needs_a_block_says_so(kind: str) -> None:
    with pytest.raises(ParamsError, match=f"seed_model: {kind}: null, but kind {kind} requires it"):
        validate(SeedModelParams, {"kind": kind}, "seed_model")


def test_a_gguf_file_is_converted(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="gguf is not installed: run make")
    with pytest.raises(UserError, match="no such file"):
        make_m0(tmp_path / "M0", tmp_path / "none.gguf")
    (tmp_path / "bad.gguf").write_bytes(b"GGUF, but not really")
    with pytest.raises(UserError, match="transformers cannot read it"):
        make_m0(tmp_path / "M0", tmp_path / "bad.gguf")
    first = make_m0(tmp_path / "a", write_gguf(tmp_path / "one.gguf"))
    second = make_m0(tmp_path / "b", shutil.copy(tmp_path / "one.gguf", tmp_path / "two.gguf"))
    assert read_policy(first).hash == read_policy(second).hash
    model = read_policy(first).load_model()
    assert model.config.num_hidden_layers == 1
    assert model.get_input_embeddings().weight[3, 5].item() == 0.25
    assert read_policy(first).load_tokenizer()("ab", add_special_tokens=False)["input_ids"] == [6]


def write_gguf(path: Path) -> Path:
    """A Llama of one layer with a byte-pair vocabulary, as llama.cpp would write it: GGUF version 3, little-endian."""
    width, hidden, words = 32, 64, ["<pad>", "<eos>", "<unk>", "Ġ", "a", "b", "ab"]
    numbers = {"block_count": 1, "context_length": 64, "embedding_length": width, "feed_forward_length": hidden}
    numbers |= {"attention.head_count": 2, "attention.head_count_kv": 2, "rope.dimension_count": 16}
    tokenizer: dict[str, bytes] = {
        "model": pack("gpt2"),
        "tokens": pack(words),
        "token_type": struct.pack("<IIQ7i", 9, 5, 7, 3, 3, 3, 1, 1, 1, 1),
        "merges": pack(["a b"]),
        "eos_token_id": pack(1),
        "padding_token_id": pack(0),
    }
    values = {"general.architecture": pack("llama")}
    values |= {f"llama.{key}": pack(number) for key, number in numbers.items()}
    values |= {"llama.attention.layer_norm_rms_epsilon": struct.pack("<If", 6, 1e-5)}
    values |= {f"tokenizer.ggml.{key}": value for key, value in tokenizer.items()}
    embeddings = np.zeros((len(words), width), dtype=np.float32)
    embeddings[3, 5] = 0.25
    tensors = {"token_embd": embeddings, "output_norm": np.ones(width, np.float32), "output": embeddings}
    shapes = dict.fromkeys(["attn_q", "attn_k", "attn_v", "attn_output"], (width, width))
    shapes |= {"ffn_up": (hidden, width), "ffn_gate": (hidden, width), "ffn_down": (width, hidden)}
    tensors |= {f"blk.0.{name}": np.zeros(shape, np.float32) for name, shape in shapes.items()}
    tensors |= {f"blk.0.{name}": np.ones(width, np.float32) for name in ("attn_norm", "ffn_norm")}
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    head += b"".join(name_bytes(key) + value for key, value in values.items())
    offset = 0
    for name, tensor in tensors.items():
        head += name_bytes(f"{name}.weight") + struct.pack("<I", tensor.ndim)
        head += struct.pack(f"<{tensor.ndim}QIQ", *reversed(tensor.shape), 0, offset)
        offset += tensor.nbytes  # a multiple of 32, as all sizes here
    padding = b"\0" * (-len(head) % 32)
    path.write_bytes(head + padding + b"".join(tensor.tobytes() for tensor in tensors.values()))
    return path


def name_bytes(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def pack(value: int | str | list[str]) -> bytes:
    """A value with its type before it."""
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + name_bytes(value)
    return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(name_bytes, value))


def run_offline(cache: Path, out: Path) -> subprocess.CompletedProcess[str]:
    recipe = out.parent / "recipe.yaml"
    recipe.write_text(
        json.dumps({"seed_model": {"kind": "hub", "hub": {"repo": "org/mine", "revision": REVISION}}}), encoding="utf-8"
    )
    words = ["--recipe", recipe, "--out", out, "--report", out.parent / "report.json"]
    return subprocess.run(
        [sys.executable, "-m", "stages.seed_model", *map(str, words)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_hub_s_cache_is_enough_offline(model: Path, tmp_path: Path) -> None:
    out, cache = tmp_path / "run" / "M0", tmp_path / "cache"
    out.parent.mkdir()
    done = run_offline(cache, out)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"hf download org/mine --revision {REVISION}" in line
    snapshot = copy_of(model, cache / "models--org--mine" / "snapshots" / REVISION)
    done = run_offline(cache, out)
    assert done.returncode == 0, done.stderr
    policy = read_policy(out)
    assert (policy.repo, policy.revision) == ("org/mine", REVISION)
    (snapshot / "model.safetensors").unlink()
    done = run_offline(cache, out)
    assert "no model.safetensors" in done.stderr
    assert len(done.stderr.splitlines()) == 1
