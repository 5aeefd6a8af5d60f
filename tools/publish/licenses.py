"""Licenses of the problems and of the completions in a publication."""

from dataclasses import dataclass

from stages.common.params.seed_model import SeedModelParams


@dataclass(frozen=True)
class License:
    """The license of one part of a publication; `id` as the Hub names it, null where it has no name there."""

    part: str
    id: str | None
    note: str


_BY_SOURCE = {
    "toy_arithmetic": License("toy arithmetic problems", None, "made by this project's generator: no third-party text"),
    "math": License("problems of MATH (Hendrycks et al. 2021)", "mit", "MIT"),
    "gsm8k": License("problems of GSM8K (Cobbe et al. 2021)", "mit", "MIT"),
}
_BY_ORIGIN = {"AI-MO/NuminaMath-CoT": License("problems of NuminaMath-CoT", "apache-2.0", "Apache-2.0")}
_BY_MODEL = {
    "meta-llama/": 'the Llama Community License, which requires a notice, and "Llama" in the name of models trained '
    "on the outputs",
    "Qwen/": "Apache-2.0 for most of these models, the Qwen License for some: see the model's own card",
}


def list_licenses(origins: list[tuple[str, str]], seed: SeedModelParams) -> list[License]:
    """The license of each part, for pairs of (origin, source) as in the problem table, and the seed model."""
    licenses = {_find_license(origin, source): None for origin, source in sorted(set(origins))}
    if seed.kind == "none":
        note = "not known to this project: see their source"
        licenses[License("completions, sampled elsewhere", None, note)] = None
    elif seed.kind == "folder":
        note = "that of the model: see its own card"
        licenses[License("completions, written by models trained from a model of the authors' own", None, note)] = None
    elif seed.hub is not None:
        repo = seed.hub.repo
        notes = (note for prefix, note in _BY_MODEL.items() if repo.startswith(prefix))
        note = next(notes, "that of the model: see its own card")
        licenses[License(f"completions, written by models trained from {repo}", None, note)] = None
    return list(licenses)


def find_hub_license(licenses: list[License]) -> str | None:
    """The one license of all parts, null where they differ or one has no name on the Hub."""
    ids = {each.id for each in licenses}
    return ids.pop() if len(ids) == 1 else None


def _find_license(origin: str, source: str) -> License:
    name = origin.split(" ")[0].split("@")[0]
    note = "not known to this project: see their source"
    return _BY_ORIGIN.get(name) or _BY_SOURCE.get(source) or License(f"problems of {source} from {name}", None, note)
