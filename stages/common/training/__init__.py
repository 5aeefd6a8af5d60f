"""What stages that train have in common: checkpoints, arguments, progress, supervised passes."""
