"""The card of a published data set and its Croissant metadata, with measured numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stages.common.human_labels import HumanLabel
from stages.report.stage_reports import PolicyReports, StageReports, get_count, get_value
from tools.human_labels import describe_agreement
from tools.publish import card_metrics
from tools.publish.croissant import RecordSet, build_croissant
from tools.publish.croissant_provenance import DERIVED_FROM, GENERATED_BY, describe_judging
from tools.publish.exported_round import ExportedRound, hide_folders
from tools.publish.formats import ExportFormat
from tools.publish.licenses import find_hub_license, list_licenses
from tools.publish.markdown import Markdown, render_card
from tools.publish.parquet_files import describe_type
from tools.publish.preconditions import Commit
from tools.publish.release_changes import ReleaseChanges

DESCRIPTION = (
    "Sampled completions of maths problems with a label for every step and for the final answer, as KTO and Step-KTO "
    "rows among other formats, with the ids that lead each label back to its origin."
)

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


@dataclass(frozen=True)
class PublishedConfig:
    """A configuration of the data set: a round in a format, its folder, and its number of rows."""

    exported: ExportedRound
    format: ExportFormat
    num_rows: int

    @property
    def name(self) -> str:
        return f"{self.exported.name}-{self.format.name}"

    @property
    def files(self) -> str:
        return f"{locate_files(self.exported.name, self.format.name)}/*.parquet"

    def describe(self) -> dict[str, Any]:
        """Its rows and the types of its columns, to be compared with a later publication."""
        columns = self.format.list_columns(self.exported.is_chat)
        return {"rows": self.num_rows, "columns": {column.name: describe_type(column.dtype) for column in columns}}


def locate_files(round_name: str, format_name: str) -> str:
    """Folder of a configuration within the publication."""
    return f"data/{round_name}/{format_name}"


class DatasetCard:
    """The card of `configs` in `folder`, which become the Hub's `repo`."""

    def __init__(
        self,
        configs: list[PublishedConfig],
        folder: Path,
        repo: str,
        sources: StageReports,
        commit: Commit,
        human_labels: Sequence[HumanLabel] = (),
        changes: ReleaseChanges | None = None,
    ) -> None:
        self.configs = configs
        self.repo = repo
        self.sources = sources
        self.commit = commit
        self.changes = changes or ReleaseChanges()
        self.rounds = {config.exported.name: config.exported for config in configs}
        self.human_labels = {
            name: list(describe_agreement(of_round))
            for name in self.rounds
            if (of_round := [label for label in human_labels if label.round == name])
        }
        self.labels = {name: card_metrics.scan_labels(folder / locate_files(name, "labels")) for name in self.rounds}
        self.title = f"{sources.recipe.report.title}: step labels of {', '.join(self.rounds)}"
        self.url = make_url("datasets/" + repo)
        self.citation = format_citation(self.title, self.url, commit)
        origins = [origin for labels in self.labels.values() for origin in card_metrics.list_origins(labels)]
        self.licenses = list_licenses(origins, sources.recipe.seed_model)

    def render(self) -> str:
        """Markdown with the Hub's metadata block."""
        models = {model.name: model for model in self.sources.policies}
        return render_card(
            "dataset_card.md.jinja",
            metadata=Markdown(self._dump_metadata()),
            card=self,
            description=DESCRIPTION,
            first=next(config for config in self.configs if config.num_rows),
            counts={name: card_metrics.count_by_source(labels) for name, labels in self.labels.items()},
            orders={name: card_metrics.describe_order(exported) for name, exported in self.rounds.items()},
            balances={name: card_metrics.count_labels(models[name]) for name in self.rounds},
            retracted={name: get_value(models[name].reports, "dataset", "retracted") or {} for name in self.rounds},
            warnings={name: get_value(models[name].reports, "dataset", "warnings") or [] for name in self.rounds},
            judges={name: self._describe_judge(name, models[name]) for name in self.rounds},
            examples=card_metrics.select_examples(next(iter(self.labels.values()))),
            drops=card_metrics.list_drops(self.sources),
            costs=card_metrics.list_costs(self.sources),
            contamination=self.sources.problems.get("contamination"),
            columns=self._describe_columns(),
            commit=self.commit,
            **card_metrics.list_rounds(self.sources),
        )

    def build_croissant(self) -> dict[str, Any]:
        """Croissant JSON-LD with a record set per configuration that has rows."""
        owner, _, name = self.repo.partition("/")
        origins = sorted({each for labels in self.labels.values() for each, _ in card_metrics.list_origins(labels)})
        properties = {
            "name": name,
            "description": f"{self.title}. {DESCRIPTION}",
            "url": self.url,
            "version": self.changes.version,
            "datePublished": self.commit.date,
            "license": find_hub_license(self.licenses) or f"{self.url}#licenses",
            "citeAs": self.citation,
            "creator": {"@type": "sc:Organization", "name": owner, "url": make_url(owner)},
            DERIVED_FROM: [{"@type": "prov:Entity", "rdfs:label": origin} for origin in origins],
            GENERATED_BY: {"@type": "prov:Activity", "rdfs:label": f"publication of commit {self.commit.id}"},
        }
        records = [
            RecordSet(
                config.exported.name,
                config.format.name,
                f"Round {config.exported.name}. {config.format.purpose}",
                config.files,
                config.format.list_columns(config.exported.is_chat),
                self._describe_judging(config.exported),
            )
            for config in self.configs
            if config.num_rows
        ]
        return build_croissant(properties, self.url, records)

    def _describe_judging(self, exported: ExportedRound) -> dict[str, Any]:
        used = next((it.name for it in self.configs if it.num_rows and it.name == f"{exported.name}-replies"), None)
        return describe_judging(exported.judge.description, exported.judge_models, exported.judge_prompts, used)

    def _dump_metadata(self) -> str:
        """The Hub's metadata block, without its fences."""
        num_samples = sum(config.num_rows for config in self.configs if config.format.name == "labels")
        license_id = find_hub_license(self.licenses)
        metadata: dict[str, Any] = {
            "pretty_name": self.title,
            "license": license_id or "other",
            **({} if license_id else {"license_name": "see-the-card"}),
            "language": ["en"],
            "task_categories": ["text-generation"],
            "tags": ["math", "reasoning", "kto", "step-kto", "process-supervision", "preference", "dpo"],
            "size_categories": [next((size for limit, size in _SIZES if num_samples < limit), "n>10M")],
            "configs": [
                {"config_name": config.name, "data_files": [{"split": "train", "path": config.files}]}
                for config in self.configs
                if config.num_rows
            ],
        }
        return dump_yaml(metadata)

    def _describe_judge(self, name: str, model: PolicyReports) -> dict[str, Any]:
        """A round's judge, the agreement of its votes, and the metrics in its report."""
        exported = self.rounds[name]
        judge = exported.judge
        return {
            "kind": judge.params.kind,
            "description": judge.description,
            "models": list(zip(exported.judge_models, exported.judge_prompts, strict=True)),
            "scorer": None if judge.llms or judge.model is None else hide_folders(judge.model),
            "min_agreement": judge.params.min_agreement,
            "label_noise": judge.params.label_noise,
            "checks": card_metrics.describe_checks(model),
            "num_checked": get_count(model.reports, "judge", "checks", "completions"),
            "metrics": card_metrics.list_judge_metrics(model),
            **card_metrics.measure_agreement(self.labels[name]),
        }

    def _describe_columns(self) -> list[dict[str, Any]]:
        """Columns of each format, with types and meanings; the same for all rounds of a publication."""
        first_round = next(iter(self.rounds))
        return [
            {
                "format": config.format,
                "rows": [
                    {"name": column.name, "type": describe_type(column.dtype), "meaning": column.meaning}
                    for column in config.format.list_columns(config.exported.is_chat)
                ],
            }
            for config in self.configs
            if config.exported.name == first_round
        ]


def format_citation(title: str, url: str, commit: Commit) -> str:
    """BibTeX of a publication."""
    braces = str.maketrans({"{": "", "}": "", "\\": ""})
    return (
        f"@misc{{stepkto{commit.id[:8]},\n  title = {{{title.translate(braces)}}},\n  year = {{{commit.date[:4]}}},\n"
        f"  url = {{{url}}}\n}}"
    )


def make_url(path: str) -> str:
    """URL of a repository on the Hub that the client uses."""
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{path}"


def dump_yaml(metadata: dict[str, Any]) -> str:
    """A card's metadata block, without its fences."""
    return yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=1000)
