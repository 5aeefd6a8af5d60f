"""The dataset: selected samples joined with their labels and put in an order made for KTO training."""

from stages.dataset.join import CUT, LabelCounts, apply_cut_rule, build_rows, format_prompt
from stages.dataset.pairs import SCHEMAS as PAIR_SCHEMAS
from stages.dataset.pairs import RoundPairs
from stages.dataset.retractions import read_retractions, retract_labels
from stages.dataset.round_tables import SAMPLED, RoundShard
from stages.dataset.training_files import build_dataset, describe_dataset
from stages.dataset.training_order import count_same_problem_pairs, order_for_training

__all__ = [
    "CUT",
    "PAIR_SCHEMAS",
    "SAMPLED",
    "LabelCounts",
    "RoundPairs",
    "RoundShard",
    "apply_cut_rule",
    "build_dataset",
    "build_rows",
    "count_same_problem_pairs",
    "describe_dataset",
    "format_prompt",
    "order_for_training",
    "read_retractions",
    "retract_labels",
]
