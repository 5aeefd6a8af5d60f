"""How fast training is, and how much memory it takes, beside TRL's own KTO trainer."""
