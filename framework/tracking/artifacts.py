"""The artifacts of an sqlite store, in a folder beside it, wherever both lie.

MLflow keeps the absolute address of an artifact for good, and so a store whose folder was moved would lose its artifacts. The address
`mlflow-artifacts:/RUN/artifacts` is relative to what a server has as its artifacts; `repository`, which MLflow finds as a plugin, reads it
without a server too.
"""

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from framework.tracking.store import database

if TYPE_CHECKING:
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

LOCATION: Final = "mlflow-artifacts:/"
FOLDER: Final = "mlartifacts"
"""The folder beside a store, as a server of MLflow that is started there names it."""


def repository(artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> "ArtifactRepository":
    """What reads and writes the artifacts at an address: MLflow's server, or the folder beside an sqlite store."""
    from mlflow import get_tracking_uri  # MLflow loads this module while it is itself imported
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
    from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

    path = database(tracking_uri or get_tracking_uri())
    if path is None:
        return MlflowArtifactsRepository(artifact_uri, tracking_uri, registry_uri)
    return LocalArtifactRepository((path.parent / FOLDER).as_uri() + urlsplit(artifact_uri).path, tracking_uri, registry_uri)
