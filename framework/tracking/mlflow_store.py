"""MLflow's stores: opened, created and probed by its own client. Imported when a run starts, since MLflow takes seconds."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

ENVIRONMENT: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the writer thread retries; MLflow's own seven tries block for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
for _setting, _value in ENVIRONMENT.items():
    os.environ.setdefault(_setting, _value)  # before the first import of mlflow

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from framework.errors import UserError
from framework.tracking import store
from framework.tracking.artifacts import LOCATION
from framework.tracking.store import masked

TEMPORARY: Final = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED")
EXPERIMENT_TAGS: Final = {"mlflow.experimentKind": "custom_model_development"}
"""Without this tag MLflow opens an experiment on its page for language models, and not on the table of runs."""


@contextmanager
def storage() -> Iterator[None]:
    """Raise `OSError` for a store that is away, so that the call is repeated, and other errors as they are."""
    try:
        yield
    except MlflowException as error:
        if error.error_code not in TEMPORARY:
            raise
        raise ConnectionError(f"the store cannot be reached or written: {first_line(error)}") from error


@contextmanager
def existing() -> Iterator[None]:
    """Accept that something to be created exists."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def first_line(error: Exception) -> str:
    """The first line of an error, or the cause that it names, without credentials."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return masked(line.rpartition("(Caused by ")[2].removesuffix(")")[:300])


def open_store(uri: str) -> MlflowClient:
    """The client of a store, which is made if it is an sqlite file that does not exist."""
    path = store.database(uri)
    if path is None:
        return _client(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f"{path.name}.lock"), timeout=120):  # two processes that make the tables of one file break each other
        _create(path)
        store.check(uri)
        return _client(uri)


def _create(path: Path) -> None:
    """Make the tables of an sqlite store under another name, then rename it: a kill meanwhile leaves no store that is half made."""
    if path.exists() and (path.is_dir() or path.stat().st_size):
        return
    aside = path.with_name(f".{path.name}.creating")
    for left in (aside, aside.with_name(f"{aside.name}-journal")):  # by a creation that was killed
        left.unlink(missing_ok=True)
    client = _client(store.sqlite_uri(aside))
    client.search_experiments(max_results=1)
    client._tracking_client.store._dispose_engine()  # or else a connection stays open, to the file under its new name
    aside.replace(path)


def _client(uri: str) -> MlflowClient:
    """The client of a store, with logging below a warning off."""
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # a traceback for an error that is raised as well
    logging.getLogger("alembic").setLevel(logging.WARNING)
    client = MlflowClient(uri, registry_uri=uri)
    path, named = store.database(uri), Path(uri.removeprefix(store.SQLITE))
    if path is not None and named != path:  # MLflow makes the folder of an address as it is written, which may be quoted
        client.search_registered_models(max_results=1)
        with suppress(OSError):
            os.removedirs(named.parent)
    return client


def experiment_id(client: MlflowClient, uri: str, name: str) -> str:
    """The id of the experiment of that name, created if there is none, restored if it was deleted."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        with existing():
            client.create_experiment(name, LOCATION if store.database(uri) else None, tags=EXPERIMENT_TAGS)
        experiment = client.get_experiment_by_name(name)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
        store.log.warning("The experiment %s had been deleted; it was restored for this run.", name)
    for tag in EXPERIMENT_TAGS.keys() - experiment.tags.keys():
        client.set_experiment_tag(experiment.experiment_id, tag, EXPERIMENT_TAGS[tag])
    return str(experiment.experiment_id)


def experiment_name(uri: str, experiment: str) -> str:
    """The name of the experiment with this id. Raises `UserError` if the store has none."""
    with storage():
        client = open_store(uri)
        try:
            return str(client.get_experiment(experiment).name)
        except MlflowException as error:
            if error.error_code in TEMPORARY:
                raise
            raise UserError(
                f"MLFLOW_EXPERIMENT_ID = {experiment} is no experiment of {masked(uri)}: "
                "unset it, or name its store in MLFLOW_TRACKING_URI."
            ) from error


def find(client: MlflowClient, run_id: str | None) -> Run | None:
    """The run of this id, unless the store does not have it or it was deleted."""
    if run_id is None:
        return None
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return run if run.info.lifecycle_stage == "active" else None


def has_points_after(client: MlflowClient, run: Run, step: int) -> bool:
    """Whether a run has a metric of its own, not of the system, after this step."""
    names = [name for name in run.data.metrics if not name.startswith("system/")]
    return any(point.step > step for name in names for point in client.get_metric_history(run.info.run_id, name))


def find_tagged(uri: str, tags: Mapping[str, str]) -> set[str]:
    """The ids of the runs of all experiments that have all these tags."""
    client = open_store(uri)
    experiments = [each.experiment_id for each in client.search_experiments()]
    quotes = {key: '"' if "'" in value else "'" for key, value in tags.items()}
    wanted = " and ".join(f"tags.`{key}` = {quotes[key]}{value}{quotes[key]}" for key, value in tags.items())
    pages = [client.search_runs(experiments, wanted)]
    while token := pages[-1].token:
        pages.append(client.search_runs(experiments, wanted, page_token=token))
    return {run.info.run_id for page in pages for run in page}


def log_folder(uri: str, run_id: str, source: Path, artifact_path: str) -> None:
    """Make the files of a folder artifacts of a run."""
    with storage():
        open_store(uri).log_artifacts(run_id, str(source), artifact_path)
