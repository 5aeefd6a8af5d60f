"""Experiments: the pipeline over several seeds and variants of the recipe, each in a copy of the project."""
