"""What one GPU does: training beside TRL's trainer, sampling by vLLM and by transformers, a round of the pipeline."""
