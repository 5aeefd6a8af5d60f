"""Selection: which samples of a round are kept for training, decided by outcomes alone, before anything is judged."""

from stages.select.sample_selection import keep_in_scope, keep_selected, select_samples

__all__ = ["keep_in_scope", "keep_selected", "select_samples"]
