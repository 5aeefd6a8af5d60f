"""The Step-KTO trainer on TRL's KTO trainer, usable without the pipeline: nothing here reads a stage's tables."""
