"""The pipeline: one package per stage in the order of dvc.yaml, and `common`, which they share.

A later stage may import an earlier one's public face (``from stages.outcome import grade``), never its insides.
"""
