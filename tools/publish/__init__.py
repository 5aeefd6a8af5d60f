"""Publishing: rounds as a data set, or a policy, as a folder with a card, and that folder as one commit on the Hub."""

from tools.publish.checks import Commit, RefusedError, require_publishable
from tools.publish.folder import write_dataset, write_model
from tools.publish.hub import Target, upload

__all__ = ["Commit", "RefusedError", "Target", "require_publishable", "upload", "write_dataset", "write_model"]
