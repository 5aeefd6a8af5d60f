"""The card of a published policy: its origin, the commands that made it, and its metrics."""

from typing import Any

from stages.common.policies import Policy
from stages.report.stage_reports import PolicyReports, StageReports
from tools.publish import card_metrics
from tools.publish.dataset_card import dump_yaml, format_citation, make_url
from tools.publish.markdown import Markdown, render_card
from tools.publish.preconditions import Commit


def render_model_card(
    model: PolicyReports, policy: Policy, params: dict[str, Any], repo: str, sources: StageReports, commit: Commit
) -> str:
    """Markdown with the Hub's metadata block for a policy trained here with `params`."""
    title = f"{sources.recipe.report.title}: policy {model.name}"
    base = sources.recipe.seed_model.hub
    metadata: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "language": ["en"],
        "tags": ["math", "reasoning", *([model.method.replace("_", "-")] if model.method else [])],
        **({"base_model": base.repo} if base else {}),
    }
    return render_card(
        "model_card.md.jinja",
        metadata=Markdown(dump_yaml(metadata)),
        title=title,
        model=model,
        policy=policy,
        base=base,
        seed=sources.recipe.seed_model.kind,
        repo=repo,
        params=dict(card_metrics.iterate_leaves(params)),
        report=model.reports.get("train") or model.reports.get("seed_model", {}),
        costs=[row for row in card_metrics.list_costs(sources) if row["model"] == model.name],
        commit=commit,
        citation=format_citation(title, make_url(repo), commit),
        **card_metrics.list_rounds(sources),
    )
