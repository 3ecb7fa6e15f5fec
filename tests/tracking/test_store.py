"""Which store a run goes to, and where it goes on: moved folders, copies, servers that come back, TLS, and no secret anywhere."""

import base64
import datetime
import logging
import shutil
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from framework.tracking import store
from framework.tracking.mlflow import PARENT
from framework.tracking.mlflow_store import open_store
from framework.tracking.runs import read_run
from tests.cli.calls import call_dream
from tests.tracking.conftest import Server
from tests.tracking.starting import points, recorded

SECRET = "hush%40hush"


def test_a_folder_that_was_moved_has_its_pictures_and_goes_on_in_the_store_beside_it(folder: Path, tmp_path: Path) -> None:
    first, other = recorded(folder, 0, 100), recorded(folder, pictures=1)
    moved = shutil.move(folder, tmp_path / "elsewhere")
    client = open_store(store.local_uri(moved))
    assert pictures(client, other.run_id) == 1
    again = recorded(moved, 200, run_folder=moved / first.run_folder.name, resume_step=100, pictures=2)
    assert again.run_id == first.run_id
    assert points(client, first.run_id) == [0, 100, 200]
    assert pictures(client, first.run_id) == 2
    assert not folder.exists()


def pictures(client: Any, run_id: str | None) -> int:
    """How many pictures of a run can be downloaded."""
    listed = [item.path for item in client.list_artifacts(run_id, "images") if item.path.endswith(".png")]
    return sum(Path(client.download_artifacts(run_id, path)).stat().st_size > 0 for path in listed)


def test_a_copy_goes_on_as_a_new_run_below_the_original(folder: Path, client: Any, caplog: pytest.LogCaptureFixture) -> None:
    first = recorded(folder, 0, 100)
    copied = shutil.copytree(first.run_folder, folder / "copy")
    copy = recorded(folder, 200, run_folder=copied, resume_step=100)
    again = recorded(folder, 300, run_folder=copied, resume_step=200)
    original = recorded(folder, 150, run_folder=first.run_folder, resume_step=100)
    assert original.run_id == first.run_id != copy.run_id == again.run_id
    assert points(client, first.run_id) == [0, 100, 150]
    assert points(client, copy.run_id) == [0, 100, 200, 300]
    run = client.get_run(copy.run_id)
    assert (run.info.run_name, run.data.tags[PARENT], read_run(copied).name) == ("copy", first.run_id, "copy")
    assert f"copy is a copy of {first.run_folder}" in caplog.text


def test_the_names_of_folders_may_have_any_characters(tables: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a ?x#y%20z ü=&'" / "runs"
    folder.mkdir(parents=True)
    shutil.copy(tables, folder / "mlflow.db")
    first = recorded(folder, 0, pictures=1)
    again = recorded(folder, 100, run_folder=first.run_folder, resume_step=0)
    client = open_store(store.local_uri(folder))
    assert first.run_id == again.run_id
    assert points(client, first.run_id) == [0, 100]
    assert pictures(client, first.run_id) == 1
    assert store.database(store.local_uri(folder)) == folder / "mlflow.db"
    fresh = folder.with_name("fresh ?%20")
    assert open_store(store.local_uri(fresh)).search_experiments()
    assert sorted(path.name for path in fresh.iterdir()) == ["mlflow.db", "mlflow.db.lock"]
    assert {path.name for path in tmp_path.iterdir()} == {folder.parent.name}


def test_a_run_that_fell_back_to_the_local_store_returns_to_its_server(
    server: Server, folder: Path, client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "framework.tracking")
    monkeypatch.setenv(store.TRACKING_URI, server.uri)
    server.stop()
    local = recorded(folder, 0, 100, pictures=1)
    monkeypatch.delenv(store.TRACKING_URI)
    server.start()
    remote = recorded(folder, 200, run_folder=local.run_folder, resume_step=100)
    server.stop()
    away = recorded(folder, 300, run_folder=local.run_folder, resume_step=200)
    server.start()
    back = recorded(folder, 400, run_folder=local.run_folder, resume_step=300)
    assert remote.run_id == back.run_id != local.run_id == away.run_id
    assert points(client, local.run_id) == [0, 100, 200, 300]
    assert points(server.client(), remote.run_id) == [0, 100, 200, 300, 400]
    assert pictures(server.client(), remote.run_id) == 1
    run = server.client().get_run(remote.run_id)
    assert (run.info.status, run.info.run_name, run.data.params["Adam.rate"]) == ("FINISHED", local.run_folder.name, "1")
    places = [record.message for record in caplog.records if "goes on as" in record.message]
    assert places == [
        f"The run goes on as {tracker.run_id} in {uri}."
        for tracker, uri in ((remote, server.uri), (away, store.local_uri(folder)), (back, server.uri))
    ]
    monkeypatch.setenv(store.TRACKING_URI, store.local_uri(folder))
    assert recorded(folder, run_folder=local.run_folder, resume_step=400).run_id == local.run_id


@pytest.fixture
def guarded(server: Server, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The server behind TLS and a password: its address, and the certificate that signed it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from werkzeug.serving import make_server

    wanted = "Basic " + base64.b64encode(b"ann:hush@hush").decode()

    def application(environ: Any, respond: Any) -> Any:
        if environ.get("HTTP_AUTHORIZATION") != wanted:
            respond("401 Unauthorized", [("Content-Type", "text/plain")])
            return [b"who are you"]
        return server.application(environ, respond)

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = tmp_path / "certificate.pem", tmp_path / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    traditional = serialization.PrivateFormat.TraditionalOpenSSL
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, traditional, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, private)
    guard = make_server("127.0.0.1", 0, application, threaded=True, ssl_context=context)
    threading.Thread(target=guard.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"https://ann:{SECRET}@localhost:{guard.server_port}", pem
    guard.shutdown()
    guard.server_close()


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_INSECURE_TLS", "MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE"])
def test_a_server_is_asked_with_the_tls_and_the_credentials_of_mlflow(
    guarded: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    uri, certificate = guarded
    for name in (store.USERNAME, store.PASSWORD):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv(store.TRACKING_URI, uri)
    address = store.chosen_uri(tmp_path)
    assert address == uri.replace(f"ann:{SECRET}@", "")
    assert "CERTIFICATE_VERIFY_FAILED" in str(store.problem(address))
    monkeypatch.setenv(variable, "true" if "INSECURE" in variable else str(certificate))
    assert store.problem(address) is None
    monkeypatch.setenv(store.PASSWORD, "wrong")
    assert "401" in str(store.problem(address))


def test_no_secret_of_an_address_is_recorded_or_printed(
    guarded: tuple[str, Path], folder: Path, client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    uri, certificate = guarded
    for name in (store.USERNAME, store.PASSWORD):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv(store.TRACKING_URI, uri)
    local = recorded(folder, 0)  # the certificate is not trusted
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
    database = f"postgresql://ann:{SECRET}@localhost/agents"
    recipe = local.run_folder / "resolved.gin"
    recipe.write_text(f"Mine.store = '{database}'\n")
    remote = recorded(
        folder,
        100,
        run_folder=local.run_folder,
        resume_step=0,
        parameters={"Mine.store": database},
        tags={"from": database},
        files=[recipe],
    )
    output = [call_dream(*command, "--folder", folder).output for command in (["ui"], ["doctor"], ["sync", "latest"])]
    monkeypatch.setenv(store.TRACKING_URI, database)
    output.append(call_dream("ui", "--print", "--folder", folder).output)
    texts = [*output, *capfd.readouterr(), caplog.text, *map(str, (client.get_run(local.run_id).data, remote.url))]
    monkeypatch.setenv(store.TRACKING_URI, uri)
    other = open_store(store.chosen_uri(folder))
    texts += [str(other.get_run(remote.run_id).data)]
    texts += [path.read_text() for path in local.run_folder.rglob("*") if path.is_file() and path != recipe]
    sent = Path(other.download_artifacts(remote.run_id, "recipe/resolved.gin", str(folder)))
    assert sent.read_text() == "Mine.store = 'postgresql://***@localhost/agents'\n"
    assert remote.run_id != local.run_id
    assert not [text for text in texts if "hush" in text]
    assert "***@localhost/agents" in "".join(texts)
