"""Under which terms the problems, and what models wrote about them, may be used."""

from __future__ import annotations

from dataclasses import dataclass

from stages.common.params.seed_model import SeedModelParams


@dataclass(frozen=True)
class Licence:
    """The terms of one part of a publication; `id` as the Hub names it, null where there is none to name."""

    part: str
    id: str | None
    note: str


_SOURCES = {
    "toy_arithmetic": Licence("toy arithmetic problems", None, "made by this project's generator: no text of others"),
    "math": Licence("problems of MATH (Hendrycks et al. 2021)", "mit", "MIT"),
    "gsm8k": Licence("problems of GSM8K (Cobbe et al. 2021)", "mit", "MIT"),
}
_ORIGINS = {"AI-MO/NuminaMath-CoT": Licence("problems of NuminaMath-CoT", "apache-2.0", "Apache-2.0")}
_POLICIES = {
    "meta-llama/": "the Llama Community License: it asks for a notice, and that models trained on the outputs be named "
    "Llama",
    "Qwen/": "Apache-2.0 for most of these models, the Qwen License for some: see the model's own card",
}


def licences_of(origins: list[tuple[str, str]], seed: SeedModelParams) -> list[Licence]:
    """Terms of each part, for pairs of (origin, source) as the problems table has them, and the model that the rounds
    began with.
    """
    found = {_licence(origin, source): None for origin, source in sorted(set(origins))}
    if seed.kind == "none":
        found[Licence("solutions, sampled elsewhere", None, "not known to this project: see where they come from")] = (
            None
        )
    elif seed.hub is not None:
        repo = seed.hub.repo
        known = (note for start, note in _POLICIES.items() if repo.startswith(start))
        note = next(known, "that of the model: see its own card")
        found[Licence(f"solutions, written by models that began as {repo}", None, note)] = None
    return list(found)


def hub_licence(licences: list[Licence]) -> str | None:
    """The one licence that holds for all parts, null where they differ or one has none."""
    ids = {licence.id for licence in licences}
    return ids.pop() if len(ids) == 1 else None


def _licence(origin: str, source: str) -> Licence:
    name = origin.split(" ")[0].split("@")[0]
    known = _ORIGINS.get(name) or _SOURCES.get(source)
    return known or Licence(
        f"problems of {source} from {name}", None, "not known to this project: see where they come from"
    )
