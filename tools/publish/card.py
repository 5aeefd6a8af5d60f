"""Cards: what a reader must know of a publication, every figure of it measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stages.judge import make_judge
from stages.judge.llm import hash_prompt
from stages.report.sources import Model, Sources
from tools.publish import measure
from tools.publish.checks import Commit
from tools.publish.croissant import RecordSet, croissant
from tools.publish.formats import FORMATS, Format
from tools.publish.formats.labels import LABELS, judge_names
from tools.publish.licences import Licence, hub_licence, licences_of
from tools.publish.markdown import Markdown, render
from tools.publish.parquet import column_types
from tools.publish.rounds import Round

DESCRIPTION = (
    "Sampled solutions of maths problems with a label for every step and for the final answer, from sampling, judging "
    "and grading to KTO and Step-KTO rows, with the ids that lead each label back to what made it."
)

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


@dataclass(frozen=True)
class Config:
    """A configuration of the data set: a round in a format, its files below `place`, and its `rows`."""

    of: Round
    form: Format
    place: str
    rows: int

    @property
    def name(self) -> str:
        return f"{self.of.name}-{self.form.name}"

    @property
    def files(self) -> str:
        return f"{self.place}/*.parquet"


def dataset_card(configs: list[Config], folder: Path, repo: str, sources: Sources, commit: Commit) -> str:
    """Markdown with the Hub's metadata block, for the `configs` that lie in `folder`."""
    rounds = list({config.of.name: config.of for config in configs}.values())
    names = [of.name for of in rounds]
    licences = _licences(configs, folder, sources)
    labels = {config.of.name: folder / config.place for config in configs if config.form is LABELS}
    models = {model.name: model for model in sources.models}
    table = measure.rounds(sources)
    return render(
        "card.md.jinja",
        metadata=Markdown(_front_matter(configs, licences, sources)),
        title=_title(sources, names),
        description=DESCRIPTION,
        repo=repo,
        configs=configs,
        first=next(config for config in configs if config.rows),
        models=table,
        majorities=measure.majority_columns(table),
        policies={of.name: None if of.settings["sample"]["engine"] == "recorded" else of.policy for of in rounds},
        counts={name: measure.count_labels(place) for name, place in labels.items()},
        balances={name: measure.balance(models[name]) for name in names},
        judges={of.name: _judge(of, labels[of.name], models[of.name]) for of in rounds},
        examples=measure.examples(labels[names[0]]),
        drops=measure.drops(sources),
        costs=measure.costs(sources),
        contamination=sources.problems.get("contamination"),
        columns=_columns(configs),
        licences=licences,
        commit=commit,
        citation=citation(_title(sources, names), address_of("datasets/" + repo), commit),
        environments=measure.environments(sources),
    )


def dataset_metadata(
    configs: list[Config], folder: Path, repo: str, sources: Sources, commit: Commit
) -> dict[str, Any]:
    """Croissant JSON-LD with a record set per configuration that has rows."""
    names = list(dict.fromkeys(config.of.name for config in configs))
    licence = hub_licence(_licences(configs, folder, sources))
    address = address_of("datasets/" + repo)
    about = {
        "name": repo.rpartition("/")[2],
        "description": f"{_title(sources, names)}. {DESCRIPTION}",
        "url": address,
        "version": "1.0.0",
        "datePublished": commit.date,
        "license": licence or f"{address}#licences",
        "citeAs": citation(_title(sources, names), address, commit),
    }
    records = [
        RecordSet(
            config.name,
            f"Round {config.of.name}. {config.form.purpose}",
            config.files,
            config.form.columns(config.of.chat),
        )
        for config in configs
        if config.rows
    ]
    return croissant(about, address, records)


def citation(title: str, address: str, commit: Commit) -> str:
    """BibTeX of a publication."""
    braces = str.maketrans({"{": "", "}": "", "\\": ""})
    return (
        f"@misc{{stepkto{commit.id[:8]},\n  title = {{{title.translate(braces)}}},\n  year = {{{commit.date[:4]}}},\n"
        f"  url = {{{address}}}\n}}"
    )


def _title(sources: Sources, names: list[str]) -> str:
    return f"{sources.recipe.report.title}: step labels of {', '.join(names)}"


def address_of(path: str) -> str:
    """Address of a repository on the Hub that the client talks to."""
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{path}"


def _front_matter(configs: list[Config], licences: list[Licence], sources: Sources) -> str:
    """The Hub's metadata block, without its fences."""
    names = list(dict.fromkeys(config.of.name for config in configs))
    samples = sum(config.rows for config in configs if config.form is LABELS)
    size = next((size for limit, size in _SIZES if samples < limit), "n>10M")
    licence = hub_licence(licences)
    metadata: dict[str, Any] = {
        "pretty_name": _title(sources, names),
        "license": licence or "other",
        **({} if licence else {"license_name": "see-the-card"}),
        "language": ["en"],
        "task_categories": ["text-generation"],
        "tags": ["math", "reasoning", "kto", "step-kto", "process-supervision", "preference", "dpo"],
        "size_categories": [size],
        "configs": [
            {"config_name": config.name, "data_files": [{"split": "train", "path": config.files}]}
            for config in configs
            if config.rows
        ],
    }
    return yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=1000)


def _licences(configs: list[Config], folder: Path, sources: Sources) -> list[Licence]:
    places = [folder / config.place for config in configs if config.form is LABELS]
    origins = [origin for place in places for origin in measure.origins_of(place)]
    return licences_of(origins, sources.recipe.seed_model)


def _judge(of: Round, labels: Path, model: Model) -> dict[str, Any]:
    """What judged a round, how far its votes agreed, and whatever its report measured of it."""
    judge = make_judge(of.judge, 0)
    return {
        "kind": of.judge.kind,
        "what": judge.description,
        "models": list(zip(judge_names(of), (hash_prompt(model.template) for model in judge.llms), strict=True)),
        "scorer": None if judge.llms else judge.model,
        "min_agreement": of.settings["judge"]["min_agreement"],
        "flip": of.settings["judge"]["label_noise"],
        "figures": measure.judge_figures(model),
        **measure.agreement(labels),
    }


def _columns(configs: list[Config]) -> list[dict[str, Any]]:
    """Columns of each format, with their types and meanings; all rounds of a publication share them."""
    first = {config.form.name: config for config in reversed(configs)}
    found = []
    for config in sorted(first.values(), key=lambda config: FORMATS.index(config.form)):
        columns = config.form.columns(config.of.chat)
        types = column_types(columns)
        rows = [{"name": column.name, "type": types[column.name], "meaning": column.meaning} for column in columns]
        found.append({"name": config.form.name, "purpose": config.form.purpose, "columns": rows})
    return found
