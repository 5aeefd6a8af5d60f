"""Where a final answer stands in a completion, and the gold answer in a reference solution."""
