"""Which model is asked."""

from __future__ import annotations

from dataclasses import dataclass

from stages.common.params.llm import EngineParams


@dataclass(frozen=True)
class Model:
    """A model as transformers and vLLM take it: a Hub repo or a folder, and the commit of a repo."""

    source: str
    revision: str | None = None
    hash: str | None = None
    """Hash of its weights where one is known, as a policy's manifest has it; it then identifies the model."""

    def asked_through(self, engine: EngineParams) -> str:
        """What a `Request` names as its model.

        It is the same through all engines that run it as it is, so that nothing is asked twice when a recipe changes
        from one to another. A fake one, other number types and quantizations are models of their own.
        """
        parts = [self.hash or (f"{self.source}@{self.revision}" if self.revision else self.source)]
        if engine.kind == "fake":
            return f"fake {parts[0]}"
        if engine.vllm is not None and engine.kind != "openai":
            parts += [part for part in (engine.vllm.dtype, engine.vllm.quantization) if part not in ("auto", None)]
        return " ".join(parts)
