"""What a model's generation_config.json would change of its samples: engines that hold the model ignore it."""

import json
import logging
from pathlib import Path
from typing import Any

from stages.common.engines import EngineKind
from stages.common.policies import Policy

GENERATION_CONFIG = "generation_config.json"

_NO_SAMPLING = (
    *("bos_token_id", "eos_token_id", "pad_token_id", "transformers_version", "_from_model_config", "use_cache"),
    *("output_attentions", "output_hidden_states", "output_logits", "output_scores", "return_dict_in_generate"),
)
"""Keys of a generation_config that engines follow, or that change nothing."""

logger = logging.getLogger(__name__)


def read_ignored_generation_config(policy: Policy, kind: type[EngineKind]) -> dict[str, Any] | None:
    """What the model's generation_config.json would change of its samples; null where it was not looked for.

    Engines that hold the model ignore it. A server that others started may not: then it is a warning.
    """
    path: Path | None = policy.folder / GENERATION_CONFIG
    if policy.repo is not None:
        if not kind.holds_model:
            return None
        from transformers.utils import cached_file

        found = cached_file(
            policy.repo, GENERATION_CONFIG, revision=policy.revision, _raise_exceptions_for_missing_entries=False
        )
        path = Path(found) if found else None
    if path is None or not path.is_file():
        return {}
    value = json.loads(path.read_text(encoding="utf-8"))
    ignored = {name: each for name, each in value.items() if name not in _NO_SAMPLING}
    if ignored and kind.generates and not kind.holds_model and not kind.is_mock:
        logger.warning(
            "%s holds %s: a server may apply it; start vLLM's with --generation-config vllm", path, sorted(ignored)
        )
    return ignored
