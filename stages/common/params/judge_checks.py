"""Params of the checks that a judge passes before it labels."""

from pydantic import Field

from stages.common.params.block import ParamsBlock


class JudgeChecksParams(ParamsBlock):
    """Signs of a degenerate judge, looked for on the round's first completions before anything else is labelled, for
    judges that are models. Each sign has a threshold, 0 to 1, from which it counts as found; null is never reached."""

    num_completions: int = Field(default=64, ge=0)
    """Completions to check on; 0 for no checks. Their labels are those of the round, and are paid for once; at most
    as many altered ones are labelled besides."""
    stop: bool = True
    """Stop the stage where a sign is found; false reports it and labels all the same."""
    position: float | None = Field(default=0.85, gt=0.5, le=1)
    """Labels that stay at their position when the steps are rotated, as a fraction of those that should either stay or
    follow their step. A judge that reads the steps has about 0.5 or less."""
    one_label: float | None = Field(default=0.98, gt=0.5, le=1)
    """Fraction of labels that are the same. Found only if human labels, or `expected_incorrect`, speak against it,
    and, where all are correct, if the same completions are called correct below the problems of others, too."""
    expected_incorrect: float = Field(default=0.1, gt=0, lt=1)
    """Fraction of incorrect steps to expect; with a gate, that of its human labels is used instead. On ProcessBench's
    gsm8k and math it is 0.13."""
    repeated_rationale: float | None = Field(default=0.95, gt=0, le=1)
    """Fraction of the incorrect steps, and of the correct ones, that get one and the same rationale."""
    copied_rationale: float | None = Field(default=0.5, gt=0, le=1)
    """Fraction of rationales that are copied from the prompt's template, or are the whole step."""
    identical_votes: float | None = Field(default=0.98, gt=0, le=1)
    """With several votes at a temperature above 0: fraction of prompts to which all votes are the same reply, letter by
    letter. Such votes are one vote, paid for several times."""
