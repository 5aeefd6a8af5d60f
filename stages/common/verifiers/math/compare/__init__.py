"""Whether two answers are equal: by rules, and by algebra where no rule decides."""
