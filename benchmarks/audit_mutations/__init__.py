"""Damage of every kind done to a round on disk: what `audit verify` finds of it, and how it names it."""
