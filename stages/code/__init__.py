"""What decides a stage's bytes besides data and params: its code and the libraries it runs on.

`dvc.yaml` has one small dependency per stage, ``reports/code/STAGE.txt``, in place of lists of source files.
"""

from stages.code.fingerprint import describe_code, list_changed_code, list_changed_libraries, list_stages

__all__ = ["describe_code", "list_changed_code", "list_changed_libraries", "list_stages"]
