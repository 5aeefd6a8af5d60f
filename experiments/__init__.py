"""Studies: the pipeline run over several seeds and arms, outside the graph, each in a copy of the project."""
