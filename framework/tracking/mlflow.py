"""MLflow behind the tracker's contract. Imported when a run starts, since MLflow takes seconds."""

import math
import re
import tempfile
import time as clock
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final, final

from framework.tracking import base, store
from framework.tracking.base import ArtifactError, Event, FileEvent, PolicyEvent, Status, Tracker, VideoEvent
from framework.tracking.media import file_name, write_video
from framework.tracking.mlflow_names import CHANGED, LONGEST_TAG, key, latest_settings, texts
from framework.tracking.mlflow_store import existing, experiment_id, find, first_line, open_store, storage

import mlflow.pyfunc  # isort: skip -- after the settings in mlflow_store
from mlflow.entities import LoggedModelOutput, Metric, Param, RunTag
from mlflow.models import Model, ModelSignature
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.types import Schema, TensorSpec

PARENT: Final = "mlflow.parentRunId"
MEASURED: Final = ("time/", "system/")
"""The metrics that no two runs have alike."""
TEXT: Final = (".gin", ".txt", ".diff", ".py", ".json")
"""The endings of files whose addresses are masked before they are sent."""


@final
class MLflow(Tracker):
    """One run in an MLflow store. Metrics are held back until `flush` and sent in one batch.

    A number that is not finite is stored as nan, since MLflow would store infinity as 1.8e308 and spoil the axis; the tag
    `not_finite.<metric>` holds its value and first step. Parameters and tags too long for MLflow are cut. A parameter that a continued run
    has with another value becomes the tag `changed.<parameter>`. Processor, memory, disk, network and GPU are sampled by MLflow's own
    monitors, at most every `system_seconds` (None: never), at the environment step that is being recorded.

    Args:
        run_id: continue this run, if the store has it; else a new run is made. A metric or picture that the continued run has at a step
            is not sent again, since MLflow would keep both; if it has another value, the tag `contradicted` says so.
        parent: the run below which MLflow shows a new one.
        started: when a new run began, in seconds since 1970; now, if it is not given.
    """

    def __init__(
        self,
        *,
        uri: str,
        experiment: str,
        name: str,
        run_id: str | None = None,
        parent: str | None = None,
        started: float | None = None,
        system_seconds: float | None = 10.0,
    ) -> None:
        self.uri, self.name, self.system_seconds = uri, name, system_seconds
        self._pending: list[Metric] = []
        self._stored_points: dict[str, dict[int, float]] = {}
        self._stored_files: dict[str, dict[str, int]] = {}
        self._not_finite: set[str] = set()
        self._contradicted = False
        self._next_sample = 0.0
        with storage():
            self._client = open_store(uri)
            self._experiment = experiment_id(self._client, uri, experiment)
            run = find(self._client, run_id)
            self._continued, self._params = run is not None, set(run.data.params) if run else set()
            self._settings = latest_settings(run.data.params, run.data.tags) if run else {}
            if run is None:
                milliseconds = None if started is None else int(1000 * started)
                tags = {} if parent is None else {PARENT: parent}
                run = self._client.create_run(self._experiment, milliseconds, tags, name)
            else:
                self._client.update_run(run_id, status="RUNNING")
            self.run_id = str(run.info.run_id)
            self._monitor = SystemMetricsMonitor(self.run_id, tracking_uri=uri)
        server = uri.rstrip("/") if store.is_server(uri) else f"http://{store.HOST}:{store.PORT}"
        self.url = store.masked(f"{server}/#/experiments/{self._experiment}/runs/{self.run_id}")

    def record(self, event: Event) -> None:
        with storage():
            match event:
                case base.ParamsEvent(values):
                    self._log_params(values)
                case base.TagsEvent(values):
                    self._log_tags(values)
                case base.MetricsEvent(step, values, time):
                    self._hold(step, {**values, **self._sample()}, int(1000 * time))
                case base.PictureEvent(name, step, image):
                    self._store(partial(self._log_picture, re.sub(r"[^a-zA-Z0-9_\-./ ]", "_", key(name)), step, image))
                case base.VideoEvent():
                    self._store(partial(self._log_video, event))
                case base.FileEvent():
                    self._store(partial(self._log_file, event))
                case base.PolicyEvent():
                    self._store(partial(self._log_policy, event))

    def compare(self) -> None:
        """Read again what the store has, at its next use, so that nothing that it has is sent twice."""
        self.flush()
        self._continued = True
        self._stored_points.clear()
        self._stored_files.clear()

    def restore(self, event: Event) -> None:
        """Record an event of the mirror, unless the store has it; no system metrics are sampled at its step."""
        with storage():
            match event:
                case base.MetricsEvent(step, values, time):
                    self._hold(step, values, int(1000 * time))
                case base.FileEvent():
                    self._store(partial(self._log_file, event, resend=False))
                case base.PolicyEvent(_, step) if step in self._policy_steps():
                    pass
                case _:
                    self.record(event)

    def _listed(self, folder: str) -> dict[str, int]:
        """The sizes of the files that the run had in a folder of its artifacts when it was continued; listed once."""
        if self._continued and folder not in self._stored_files:
            listed = self._client.list_artifacts(self.run_id, folder or None)
            self._stored_files[folder] = {PurePosixPath(artifact.path).name: artifact.file_size for artifact in listed}
        return self._stored_files.get(folder, {})

    def _policy_steps(self) -> set[int]:
        outputs = self._client.get_run(self.run_id).outputs
        return {model.step for model in outputs.model_outputs} if outputs else set()

    def _store(self, upload: Callable[[], object]) -> None:
        """Upload an artifact. If that fails twice while the store answers, the artifact is refused: nothing may wait behind it."""
        for _ in range(2):
            try:
                upload()
            except Exception as error:  # of any artifact store: the operating system's, MLflow's, a cloud's
                reason = error
            else:
                return
            self._client.get_run(self.run_id)
        raise ArtifactError(f"an artifact cannot be stored ({type(reason).__name__}: {first_line(reason)})") from reason

    @property
    def pending(self) -> int:
        """Metrics that are held back."""
        return len(self._pending)

    def flush(self) -> None:
        pending, self._pending = self._pending, []
        if not pending:
            return
        try:
            with storage():
                self._client.log_batch(self.run_id, metrics=pending, synchronous=True)
        except OSError:
            self._pending = pending
            raise

    def close(self, status: Status, time: float | None = None) -> None:
        """Record how and when the run ended: in seconds since 1970, or now."""
        self.flush()
        with storage():
            self._client.set_terminated(self.run_id, status, None if time is None else int(1000 * time))

    def _log_params(self, values: Mapping[str, object]) -> None:
        settings = texts(values)
        new = {name: text for name, text in settings.items() if name not in self._params}
        self._client.log_batch(self.run_id, params=[Param(name, text) for name, text in new.items()])
        self._params |= new.keys()
        self._settings |= new
        self._log_tags({f"{CHANGED}{name}": text for name, text in settings.items() if self._settings[name] != text})
        self._settings |= settings

    def _log_tags(self, values: Mapping[str, str]) -> None:
        if values:
            self._client.log_batch(self.run_id, tags=[RunTag(key(name), text[:LONGEST_TAG]) for name, text in values.items()])

    def _hold(self, step: int, values: Mapping[str, float], milliseconds: int) -> None:
        """Keep metrics for the next batch, without those that the store has at this step."""
        named = {key(name): float(value) for name, value in values.items()}
        new = {name: value for name, value in named.items() if step not in self._stored(name)}
        self._mark(step, [name for name in named.keys() - new.keys() if not _same(self._stored(name)[step], named[name])])
        not_finite = {name: value for name, value in new.items() if not math.isfinite(value)}
        self._log_tags({f"not_finite.{name}": f"{not_finite[name]} at step {step}" for name in not_finite.keys() - self._not_finite})
        self._not_finite |= not_finite.keys()
        self._pending += [Metric(name, math.nan if name in not_finite else value, milliseconds, step) for name, value in new.items()]

    def _stored(self, name: str) -> dict[int, float]:
        """The points by step that a continued run had of this metric when it was continued; read once, at its first use."""
        if self._continued and name not in self._stored_points:
            self._stored_points[name] = {point.step: point.value for point in self._client.get_metric_history(self.run_id, name)}
        return self._stored_points.get(name, {})

    def _mark(self, step: int, names: Sequence[str]) -> None:
        """Note once that points which the store has and keeps differ from those of the resumed run; measured times always do."""
        names = [name for name in sorted(names) if not name.startswith(MEASURED)]
        if names and not self._contradicted:
            self._log_tags({"contradicted": f"from step {step} on, by the resumed run: {', '.join(names)}"})
            store.log.warning("MLflow has other values than the resumed run from step %d on, and keeps them (%s).", step, ", ".join(names))
            self._contradicted = True

    def _sample(self) -> dict[str, float]:
        if self.system_seconds is None or clock.monotonic() < self._next_sample:
            return {}
        self._next_sample = clock.monotonic() + self.system_seconds
        self._monitor.collect_metrics()
        values = self._monitor.aggregate_metrics()
        for monitor in self._monitor.monitors:
            monitor.clear_metrics()
        return {f"system/{name}": value for name, value in values.items()}

    def _log_video(self, event: VideoEvent) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = write_video(Path(folder) / file_name(event.name, event.step, "mp4"), event.mp4)
            self._client.log_artifact(self.run_id, str(path), "video")

    def _log_file(self, event: FileEvent, *, resend: bool = True) -> None:
        path, content = event.path, _content(event.path)
        if not resend and self._listed(event.folder).get(path.name) == len(content):
            return
        with tempfile.TemporaryDirectory() as folder:
            if content != path.read_bytes():
                path = Path(folder) / path.name
                path.write_bytes(content)
            self._client.log_artifact(self.run_id, str(path), event.folder or None)

    def _log_picture(self, name: str, step: int, image: Any) -> None:
        prefix = f"{name.replace('/', '~')}+step+{step}+"  # as MLflow names the file of an image
        if not any(stored.startswith(prefix) for stored in self._listed("images")):
            self._client.log_image(self.run_id, image, key=name, step=step, synchronous=True)

    def _log_policy(self, event: PolicyEvent) -> None:
        # `pyfunc.log_model` would read the history of every metric, and load the policy twice.
        client = self._client
        with tempfile.TemporaryDirectory() as folder:
            logged = client.create_logged_model(self._experiment, "policy", self.run_id, model_type="policy")
            path = Path(folder) / "policy"
            _save_policy(path, event, Model(logged.artifact_location, self.run_id, model_uuid=logged.model_id, model_id=logged.model_id))
            try:
                client.log_model_artifacts(logged.model_id, str(path))
            except Exception:
                client.delete_logged_model(logged.model_id)
                raise
            client.finalize_logged_model(logged.model_id, "READY")
            self._register(logged, event.aliases)
            client.log_outputs(self.run_id, [LoggedModelOutput(logged.model_id, event.step)])

    def _register(self, logged: Any, aliases: Sequence[str]) -> None:
        """Enter the policy as a new version of the registered model that is named after the run."""
        name = self.name.replace("/", "-").replace(":", "-")
        with existing():
            self._client.create_registered_model(name)
        # A database looks a `models:/` address up in whichever store is MLflow's global one, and makes that if it is not there.
        source = logged.artifact_location if store.database(self.uri) else f"models:/{logged.model_id}"
        version = self._client.create_model_version(name, source, self.run_id, model_id=logged.model_id)
        for alias in set(aliases) - {"latest"}:  # reserved by MLflow, with the same meaning
            self._client.set_registered_model_alias(name, alias, version.version)


def _same(stored: float, value: float) -> bool:
    """Whether a value was stored as it is: those that are not finite are stored as nan."""
    return stored == value or (math.isnan(stored) and not math.isfinite(value))


def _content(path: Path) -> bytes:
    """What is sent of a file: texts without the credentials of the addresses in them."""
    content = path.read_bytes()
    return store.masked(content.decode(errors="surrogateescape")).encode(errors="surrogateescape") if path.suffix in TEXT else content


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
