"""The dataset: labelled samples joined, selected, balanced and put in an order made for KTO training."""

from stages.dataset.build import build_dataset
from stages.dataset.gather import prompt_text
from stages.dataset.order import neighbours_of_one_problem, training_order
from stages.dataset.select import select
from stages.dataset.weights import class_weights

__all__ = [
    "build_dataset",
    "class_weights",
    "neighbours_of_one_problem",
    "prompt_text",
    "select",
    "training_order",
]
