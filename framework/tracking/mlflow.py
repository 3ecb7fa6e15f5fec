"""MLflow behind the tracker's contract: the only file that imports mlflow, and only when a run starts (it takes seconds)."""

import logging
import math
import os
import tempfile
import time as clock
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from jaxtyping import Num, UInt8

from framework.tracking import history, store
from framework.tracking.base import Status, Tracker, Unavailable
from framework.tracking.keys import key, keys
from framework.tracking.media import file_name, write_video
from framework.tracking.provenance import requirements

ENVIRONMENT: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the writer thread does the retrying; MLflow's own seven block for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
TEMPORARY: Final = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED")
LONGEST_PARAMETER: Final = 6000
LONGEST_TAG: Final = 5000


@final
class MLflow(Tracker):
    """One run in an MLflow store. Metrics are held back until `flush` and sent in one batch.

    A number that is not finite is stored as nan, since MLflow would store infinity as 1.8e308 and spoil the axis; the tag
    `not_finite.<metric>` says which it was, and at which step first. A value too long for MLflow becomes a text artifact,
    and the value says so. A parameter that a continued run has with another value becomes the tag `changed.<parameter>`.

    Args:
        run_id: continue this run, if the store has it; else a new run is made, and `run_id` differs from this.
        keep_until: of the continued run, points at later steps are deleted, or on a server, which cannot, never sent again.
            Nor is what this step has already.
        start_time: when a new run began, if not now.
    """

    def __init__(
        self,
        *,
        uri: str,
        folder: Path,
        experiment: str,
        name: str,
        run_id: str | None = None,
        keep_until: int = -1,
        start_time: float | None = None,
    ) -> None:
        self.uri = uri
        self.name = name
        for setting, value in ENVIRONMENT.items():
            os.environ.setdefault(setting, value)  # before the first import of mlflow
        with _available(), store.lock(uri, folder):
            store.check(uri)
            self._client = _client(uri)
            self._experiment = _experiment(self._client, uri, experiment)
            self._params = _params(self._client, run_id)
        self._held: list[Any] = []
        self._present: set[tuple[str, int]] = set()
        self._not_finite: set[str] = set()
        with _available():
            if run_id is None or self._params is None:
                self.run_id = self._new_run(start_time)
            else:
                self.run_id = run_id
                self._continue(keep_until)
        server = uri if store.is_server(uri) else "http://127.0.0.1:5000"
        self.url = f"{server.rstrip('/')}/#/experiments/{self._experiment}/runs/{self.run_id}"

    def params(self, values: Mapping[str, object]) -> None:
        from mlflow.entities import Param, RunTag

        names = keys(values)
        texts = {names[name]: str(value) for name, value in values.items()}
        earlier = self._params or {}
        with _available():
            short = {name: self._short("parameters", name, text, LONGEST_PARAMETER) for name, text in texts.items()}
            new = [Param(name, text) for name, text in short.items() if name not in earlier]
            changed = {name: text for name, text in short.items() if earlier.get(name, text) != text}
            tags = [RunTag(key(f"changed.{name}"), text[:LONGEST_TAG]) for name, text in changed.items()]
            self._client.log_batch(self.run_id, params=new, tags=tags)
        self._params = earlier | {param.key: param.value for param in new}

    def tags(self, values: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        with _available():
            names = keys(values)
            tags = [RunTag(names[n], self._short("tags", names[n], text, LONGEST_TAG)) for n, text in values.items()]
            self._client.log_batch(self.run_id, tags=tags)

    def metrics(self, step: int, values: Mapping[str, float], *, time: float | None = None) -> None:
        from mlflow.entities import Metric

        milliseconds = int(1000 * (clock.time() if time is None else time))
        new = {key(name): value for name, value in values.items() if (key(name), step) not in self._present}
        strange = {name: value for name, value in new.items() if not math.isfinite(value)}
        if strange.keys() - self._not_finite:
            first = {f"not_finite.{name}": f"{strange[name]} at step {step}" for name in strange.keys() - self._not_finite}
            self.tags(first)
            self._not_finite |= strange.keys()
        for name, value in new.items():
            self._held.append(Metric(name, math.nan if name in strange else float(value), milliseconds, step))

    def flush(self) -> None:
        if not self._held:
            return
        held, self._held = self._held, []
        try:
            with _available():
                self._client.log_batch(self.run_id, metrics=held, synchronous=True)
        except Unavailable:
            self._held = held
            raise

    def picture(self, name: str, step: int, image: UInt8[np.ndarray, "Y X 3"]) -> None:
        if (history.picture_key(name), step) not in self._present:
            with _available():
                self._client.log_image(self.run_id, image, key=history.picture_key(name), step=step, synchronous=True)

    def video(self, name: str, step: int, frames: UInt8[np.ndarray, "T Y X 3"], fps: float) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.file(write_video(Path(folder) / file_name(name, step, "mp4"), frames, fps), "video")

    def file(self, path: Path, folder: str = "") -> None:
        if not path.is_file():
            raise FileNotFoundError(f"{path} is not there any more")
        with _available():
            self._client.log_artifact(self.run_id, str(path), folder or None)

    def text(self, name: str, content: str) -> None:
        with _available():
            self._client.log_text(self.run_id, content, name)

    def model(
        self,
        checkpoint: Path,
        *,
        step: int,
        observation: Mapping[str, Num[np.ndarray, "2 *shape"]],
        action: Num[np.ndarray, "2 A"],
        aliases: Sequence[str] = (),
    ) -> None:
        # `pyfunc.log_model` would read the history of every metric, and load the policy twice, to say the same.
        from mlflow.entities import LoggedModelOutput

        client = self._client
        with _available(), tempfile.TemporaryDirectory() as folder:
            logged = client.create_logged_model(self._experiment, "policy", self.run_id, model_type="policy")
            path = Path(folder) / "policy"
            _save_model(path, checkpoint, observation, action, logged, self.run_id)
            client.log_model_artifacts(logged.model_id, str(path))
            client.finalize_logged_model(logged.model_id, "READY")
            client.log_outputs(self.run_id, [LoggedModelOutput(logged.model_id, step)])
            self._register(logged, aliases)

    def close(self, status: Status) -> None:
        self.flush()
        with _available():
            self._client.set_terminated(self.run_id, status)

    def _new_run(self, start_time: float | None) -> str:
        milliseconds = None if start_time is None else int(1000 * start_time)
        return str(self._client.create_run(self._experiment, milliseconds, run_name=self.name).info.run_id)

    def _continue(self, keep_until: int) -> None:
        assert self.run_id is not None
        self._client.update_run(self.run_id, status="RUNNING")
        if store.database(self.uri) is not None:
            self._present |= history.delete_after(self.uri, self.run_id, keep_until)
        else:
            self._present |= history.points_from(self._client, self.run_id, keep_until)
        self._present |= history.pictures(self._client, self.run_id)

    def _short(self, folder: str, name: str, text: str, longest: int) -> str:
        if len(text) <= longest:
            return text
        artifact = f"{folder}/{name}.txt"
        self._client.log_text(self.run_id, text, artifact)
        return f"{len(text)} characters, in the artifact {artifact}"

    def _register(self, logged: Any, aliases: Sequence[str]) -> None:
        """Enter the policy as a new version of a registered model that is named as the run."""
        from mlflow.exceptions import MlflowException

        name = self.name.replace("/", "-").replace(":", "-")
        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        # A database looks a `models:/` address up in whichever store is MLflow's global one, and makes that if it is not there.
        source = logged.artifact_location if store.database(self.uri) else f"models:/{logged.model_id}"
        version = self._client.create_model_version(name, source, self.run_id, model_id=logged.model_id)
        for alias in set(aliases) - {"latest"}:  # a name that MLflow reserves for what it means
            self._client.set_registered_model_alias(name, alias, version.version)


@contextmanager
def _available() -> Iterator[None]:
    """Tell a store that is away (try again) from a call that is wrong (do not)."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except FileNotFoundError:
        raise
    except MlflowException as error:
        if error.error_code in TEMPORARY:
            raise Unavailable(f"the store cannot be reached or written: {_first_line(error)}") from error
        raise
    except OSError as error:
        raise Unavailable(f"the store cannot be reached or written: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _client(uri: str) -> Any:
    """The client of a store, which says nothing below a warning."""
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # a traceback for what is raised anyway
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return MlflowClient(uri, registry_uri=uri)


def _experiment(client: Any, uri: str, name: str) -> str:
    """The experiment of that name, made if there is none, brought back if it was deleted."""
    from mlflow.exceptions import MlflowException

    path = store.database(uri)
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, (path.parent / "artifacts").as_uri() if path else None))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
        store.log.warning("The experiment %s had been deleted; it is back, since a run needs it.", name)
    return str(found.experiment_id)


def _params(client: Any, run_id: str | None) -> dict[str, str] | None:
    """The parameters of a run that can be continued; `None` if there is no such run."""
    from mlflow.exceptions import MlflowException

    if run_id is None:
        return None
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return dict(run.data.params) if run.info.lifecycle_stage == "active" else None


def _save_model(
    path: Path,
    checkpoint: Path,
    observation: Mapping[str, np.ndarray],
    action: np.ndarray,
    logged: Any,
    run_id: str | None,
) -> None:
    import mlflow.pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    inputs = [TensorSpec(value.dtype, (-1, *value.shape[1:]), name) for name, value in observation.items()]
    outputs = [TensorSpec(action.dtype, (-1, *action.shape[1:]))]
    model_id = logged.model_id
    mlflow.pyfunc.save_model(
        path,
        loader_module="framework.tracking.policy_model",
        data_path=str(checkpoint),
        mlflow_model=Model(logged.artifact_location, run_id, model_uuid=model_id, model_id=model_id),
        signature=ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs)),
        input_example=dict(observation),
        pip_requirements=requirements(),
    )
