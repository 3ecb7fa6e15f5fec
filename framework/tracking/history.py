"""What a store already holds of a run that is continued. MLflow keeps two points at one step of one metric as two."""

import re
from collections.abc import Iterator
from typing import Any, Final

from framework.tracking.keys import key

PICTURE: Final = re.compile(r"images/(?P<key>.+?)\+step\+(?P<step>\d+)\+.*\.png")
LATEST: Final = """
    INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid)
    SELECT key, value, timestamp, step, is_nan, run_uuid FROM (
        SELECT *, ROW_NUMBER() OVER (PARTITION BY key ORDER BY step DESC, timestamp DESC, value DESC) AS place
        FROM metrics WHERE run_uuid = :run
    ) AS ordered WHERE place = 1
"""


def delete_after(uri: str, run_id: str, step: int) -> set[tuple[str, int]]:
    """Delete the points of a run at later steps, straight from its database, since MLflow has no call for it.

    Gives the metric and step of every point at this step.
    """
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri, connect_args={"timeout": 30})
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DELETE FROM metrics WHERE run_uuid = :run AND step > :step"), {"run": run_id, "step": step})
        connection.execute(sqlalchemy.text("DELETE FROM latest_metrics WHERE run_uuid = :run"), {"run": run_id})
        connection.execute(sqlalchemy.text(LATEST), {"run": run_id})
        last = sqlalchemy.text("SELECT key, step FROM metrics WHERE run_uuid = :run AND step = :step")
        present = {(row.key, row.step) for row in connection.execute(last, {"run": run_id, "step": step})}
    engine.dispose()
    return present


def points_from(client: Any, run_id: str, step: int) -> set[tuple[str, int]]:
    """The metric and step of every point at this step or a later one."""
    names = client.get_run(run_id).data.metrics
    points = (point for name in names for point in client.get_metric_history(run_id, name))
    return {(point.key, point.step) for point in points if point.step >= step}


def pictures(client: Any, run_id: str) -> set[tuple[str, int]]:
    """The name and step of every picture."""
    return set(_pictures(client, run_id))


def picture_key(name: str) -> str:
    """A picture's name with what MLflow refuses in it replaced."""
    return re.sub(r"[^a-zA-Z0-9_\-./ ]", "_", key(name))


def _pictures(client: Any, run_id: str) -> Iterator[tuple[str, int]]:
    for artifact in client.list_artifacts(run_id, "images"):
        if match := PICTURE.fullmatch(artifact.path):
            yield match["key"].replace("~", "/"), int(match["step"])
