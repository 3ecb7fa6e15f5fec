"""MLflow behind the tracker's contract: the only file that imports mlflow, itself imported when a run starts (it takes seconds)."""

import hashlib
import logging
import math
import os
import re
import tempfile
import time as clock
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, final

ENVIRONMENT: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the writer thread retries; MLflow's own seven tries block for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
for _setting, _value in ENVIRONMENT.items():
    os.environ.setdefault(_setting, _value)  # before the first import of mlflow

import mlflow.pyfunc
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.types import Schema, TensorSpec

from framework.errors import UserError
from framework.tracking import base, store
from framework.tracking.base import Event, PolicyEvent, Status, Tracker
from framework.tracking.media import file_name, write_video

TEMPORARY: Final = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED")
LONGEST_KEY: Final = 250
LONGEST_PARAMETER: Final = 6000
LONGEST_TAG: Final = 5000
EXPERIMENT_TAGS: Final = {"mlflow.experimentKind": "custom_model_development"}
"""Without this tag MLflow opens an experiment on its page for language models, and not on the table of runs."""


@final
class MLflow(Tracker):
    """One run in an MLflow store. Metrics are held back until `flush` and sent in one batch.

    A number that is not finite is stored as nan, since MLflow would store infinity as 1.8e308 and spoil the axis; the tag
    `not_finite.<metric>` holds its value and first step. Parameters and tags too long for MLflow are cut. A parameter that a continued run
    has with another value becomes the tag `changed.<parameter>`. Processor, memory, disk, network and GPU are sampled by MLflow's own
    monitors, at most every `system_seconds` (None: never), at the environment step that is being recorded.

    Args:
        run_id: continue this run, if the store has it; else a new run is made. A metric or picture that the continued run has at a step
            is not sent again, since MLflow would keep both.
    """

    def __init__(
        self,
        *,
        uri: str,
        folder: Path,
        experiment: str,
        name: str,
        run_id: str | None = None,
        system_seconds: float | None = 10.0,
    ) -> None:
        self.uri, self.name, self.system_seconds = uri, name, system_seconds
        self._pending: list[Metric] = []
        self._stored_steps: dict[str, set[int]] = {}
        self._not_finite: set[str] = set()
        self._next_sample = 0.0
        with _storage():
            with store.lock(uri, folder):
                store.check(uri)
                self._client = _client(uri)
                self._experiment = _experiment(self._client, uri, experiment)
                params = _params(self._client, run_id)
            self._continued, self._params = params is not None, params or {}
            if run_id is not None and self._continued:
                self.run_id = run_id
                self._client.update_run(run_id, status="RUNNING")
            else:
                self.run_id = str(self._client.create_run(self._experiment, run_name=name).info.run_id)
            self._monitor = SystemMetricsMonitor(self.run_id, tracking_uri=uri)
        server = uri.rstrip("/") if store.is_server(uri) else f"http://{store.HOST}:{store.PORT}"
        self.url = f"{server}/#/experiments/{self._experiment}/runs/{self.run_id}"

    def record(self, event: Event) -> None:
        with _storage():
            match event:
                case base.ParamsEvent(values):
                    self._log_params(values)
                case base.TagsEvent(values):
                    self._log_tags(values)
                case base.MetricsEvent(step, values, time):
                    self._hold(step, {**values, **self._sample()}, int(1000 * time))
                case base.PictureEvent(name, step, image):
                    self._log_picture(re.sub(r"[^a-zA-Z0-9_\-./ ]", "_", key(name)), step, image)
                case base.VideoEvent(name, step):
                    with tempfile.TemporaryDirectory() as folder:
                        path = write_video(Path(folder) / file_name(name, step, "mp4"), event.mp4)
                        self._client.log_artifact(self.run_id, str(path), "video")
                case base.FileEvent(path, folder):
                    self._client.log_artifact(self.run_id, str(path), folder or None)
                case base.PolicyEvent():
                    self._log_policy(event)

    def flush(self) -> None:
        pending, self._pending = self._pending, []
        if not pending:
            return
        try:
            with _storage():
                self._client.log_batch(self.run_id, metrics=pending, synchronous=True)
        except OSError:
            self._pending = pending
            raise

    def close(self, status: Status) -> None:
        self.flush()
        with _storage():
            self._client.set_terminated(self.run_id, status)

    def _log_params(self, values: Mapping[str, object]) -> None:
        texts = {key(name): str(value)[:LONGEST_PARAMETER] for name, value in values.items()}
        new = {name: text for name, text in texts.items() if name not in self._params}
        self._client.log_batch(self.run_id, params=[Param(name, text) for name, text in new.items()])
        self._log_tags({f"changed.{name}": text for name, text in texts.items() if self._params.get(name, text) != text})
        self._params |= new

    def _log_tags(self, values: Mapping[str, str]) -> None:
        if values:
            self._client.log_batch(self.run_id, tags=[RunTag(key(name), text[:LONGEST_TAG]) for name, text in values.items()])

    def _hold(self, step: int, values: Mapping[str, float], milliseconds: int) -> None:
        """Keep metrics for the next batch, without those that the store has at this step."""
        new = {key(name): float(value) for name, value in values.items() if step not in self._steps(key(name))}
        not_finite = {name: value for name, value in new.items() if not math.isfinite(value)}
        self._log_tags({f"not_finite.{name}": f"{not_finite[name]} at step {step}" for name in not_finite.keys() - self._not_finite})
        self._not_finite |= not_finite.keys()
        self._pending += [Metric(name, math.nan if name in not_finite else value, milliseconds, step) for name, value in new.items()]

    def _steps(self, name: str) -> set[int]:
        """The steps at which a continued run had this metric when it was continued; read once, at its first use."""
        if self._continued and name not in self._stored_steps:
            self._stored_steps[name] = {point.step for point in self._client.get_metric_history(self.run_id, name)}
        return self._stored_steps.get(name, set())

    def _sample(self) -> dict[str, float]:
        if self.system_seconds is None or clock.monotonic() < self._next_sample:
            return {}
        self._next_sample = clock.monotonic() + self.system_seconds
        self._monitor.collect_metrics()
        values = self._monitor.aggregate_metrics()
        for monitor in self._monitor.monitors:
            monitor.clear_metrics()
        return {f"system/{name}": value for name, value in values.items()}

    def _log_picture(self, name: str, step: int, image: Any) -> None:
        stored = self._client.list_artifacts(self.run_id, "images") if self._continued else []
        prefix = f"images/{name.replace('/', '~')}+step+{step}+"  # as MLflow names the file of an image
        if not any(artifact.path.startswith(prefix) for artifact in stored):
            self._client.log_image(self.run_id, image, key=name, step=step, synchronous=True)

    def _log_policy(self, event: PolicyEvent) -> None:
        # `pyfunc.log_model` would read the history of every metric, and load the policy twice.
        client = self._client
        with tempfile.TemporaryDirectory() as folder:
            logged = client.create_logged_model(self._experiment, "policy", self.run_id, model_type="policy")
            path = Path(folder) / "policy"
            _save_policy(path, event, Model(logged.artifact_location, self.run_id, model_uuid=logged.model_id, model_id=logged.model_id))
            client.log_model_artifacts(logged.model_id, str(path))
            client.finalize_logged_model(logged.model_id, "READY")
            client.log_outputs(self.run_id, [LoggedModelOutput(logged.model_id, event.step)])
            self._register(logged, event.aliases)

    def _register(self, logged: Any, aliases: Sequence[str]) -> None:
        """Enter the policy as a new version of the registered model that is named after the run."""
        name = self.name.replace("/", "-").replace(":", "-")
        with _existing():
            self._client.create_registered_model(name)
        # A database looks a `models:/` address up in whichever store is MLflow's global one, and makes that if it is not there.
        source = logged.artifact_location if store.database(self.uri) else f"models:/{logged.model_id}"
        version = self._client.create_model_version(name, source, self.run_id, model_id=logged.model_id)
        for alias in set(aliases) - {"latest"}:  # reserved by MLflow, with the same meaning
            self._client.set_registered_model_alias(name, alias, version.version)


def key(name: str) -> str:
    """A name in which what MLflow refuses is replaced: `train/Adam.betas[0]` becomes `train/Adam.betas_0_`."""
    parts = re.sub(r"[^\w\-. :/]", "_", name).split("/")
    cleaned = "/".join(part for part in parts if part.strip(".")) or "_"
    return cleaned if len(cleaned) <= LONGEST_KEY else f"{cleaned[: LONGEST_KEY - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def experiment_id(uri: str, folder: Path, name: str) -> str:
    """The id of an experiment in the store of a folder."""
    with store.lock(uri, folder):
        return _experiment(_client(uri), uri, name)


def experiment_name(uri: str, experiment: str) -> str:
    """The name of the experiment with this id. Raises `UserError` if the store has none."""
    store.check(uri)
    client = _client(uri)
    with _storage():
        try:
            return str(client.get_experiment(experiment).name)
        except MlflowException as error:
            if error.error_code in TEMPORARY:
                raise
            raise UserError(
                f"MLFLOW_EXPERIMENT_ID = {experiment} is no experiment of {uri}: unset it, or name its store in MLFLOW_TRACKING_URI."
            ) from error


@contextmanager
def _storage() -> Iterator[None]:
    """Raise `OSError` for a store that is away, so that the call is repeated, and other errors as they are."""
    try:
        yield
    except MlflowException as error:
        if error.error_code not in TEMPORARY:
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise ConnectionError(f"the store cannot be reached or written: {reason}") from error


@contextmanager
def _existing() -> Iterator[None]:
    """Accept that something to be created exists."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _client(uri: str) -> MlflowClient:
    """The client of a store, with logging below a warning off."""
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # a traceback for an error that is raised as well
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return MlflowClient(uri, registry_uri=uri)


def _experiment(client: MlflowClient, uri: str, name: str) -> str:
    """The id of the experiment of that name, created if there is none, restored if it was deleted."""
    path = store.database(uri)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        with _existing():
            client.create_experiment(name, (path.parent / "artifacts").as_uri() if path else None, tags=EXPERIMENT_TAGS)
        experiment = client.get_experiment_by_name(name)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
        store.log.warning("The experiment %s had been deleted; it was restored for this run.", name)
    for tag in EXPERIMENT_TAGS.keys() - experiment.tags.keys():
        client.set_experiment_tag(experiment.experiment_id, tag, EXPERIMENT_TAGS[tag])
    return str(experiment.experiment_id)


def _params(client: MlflowClient, run_id: str | None) -> dict[str, str] | None:
    """The parameters of a run that can be continued; `None` if there is no such run."""
    if run_id is None:
        return None
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return dict(run.data.params) if run.info.lifecycle_stage == "active" else None


def _save_policy(path: Path, event: PolicyEvent, model: Model) -> None:
    inputs = [TensorSpec(value.dtype, (-1, *value.shape[1:]), name) for name, value in event.observation.items()]
    outputs = [TensorSpec(event.action.dtype, (-1, *event.action.shape[1:]))]
    mlflow.pyfunc.save_model(
        path,
        loader_module="framework.tracking.policy_model",
        data_path=str(event.checkpoint),
        mlflow_model=model,
        signature=ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs)),
        input_example=dict(event.observation),
        pip_requirements=list(event.requirements),
    )
