"""Publishing: rounds as a data set, or a policy, as a folder with a card, and that folder as one commit on the Hub."""

from tools.publish.commands import publish
from tools.publish.hub_upload import HubTarget, upload
from tools.publish.preconditions import Commit, RefusedError, require_publishable
from tools.publish.publish_folder import write_dataset, write_model

__all__ = [
    "Commit",
    "HubTarget",
    "RefusedError",
    "publish",
    "require_publishable",
    "upload",
    "write_dataset",
    "write_model",
]
