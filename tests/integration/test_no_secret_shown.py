"""Secrets in every setting that has one: none of them is in anything that is said or shown."""

import json
import subprocess
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from sqlalchemy import make_url

from core.errors import UpnextError
from core.secrets import check
from core.settings import Settings, child_environment, load
from storage import bus
from storage.artifacts import artifact_store
from storage.postgres.engine import connect
from storage.postgres.reaching import parsed
from storage.queue import Queue
from storage.redis.client import client_of
from tests.polling import eventually
from tests.served import over_stores
from upnext.tokens import make_token

pytestmark = pytest.mark.integration

MARK = "hush"  # every secret has it
SECRET = f"{MARK}-of-tokens-long-enough-for-an-HMAC"
CERTIFICATE = f"-----BEGIN PRIVATE KEY-----\n{MARK}\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def settings(store_urls: dict[str, str], tmp_path: Path) -> Settings:
    """A store each that lets one in, refuses, and is away; half of the secrets are in files."""
    postgres = make_url(store_urls["postgres_url"]).set(password=f"{MARK}-postgres")
    at = f"127.0.0.1:{urlsplit(store_urls['bus_url']).port}"
    planted = {
        "postgres_url": postgres.render_as_string(hide_password=False),
        "redis_url": store_urls["redis_url"].replace("://", "://nobody@"),
        "milvus_uri": "http://127.0.0.1:1",
        "bus_url": f"nats://{MARK}-user:{MARK}-bus@{at}",
        "milvus_token": f"root:{MARK}-milvus",
        "log_user_key": f"{MARK}-of-user-ids-long-enough-for-a-hash",
    }
    files = {"redis_password_file": f"{MARK}-redis", "jwt_secret_file": SECRET}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
        planted[name] = str(tmp_path / name)
    plain = over_stores(tmp_path, **planted).model_copy(update={"jwt_secret": None})
    Path(str(plain.artifacts_url).removeprefix("file://")).mkdir()
    return plain


def started(settings: Settings, log: Path, *words: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "upnext", *words],
            env=child_environment(settings) | {"AWS_SECRET_ACCESS_KEY": f"{MARK}-s3"},
            stdout=out,
            stderr=out,
        )


def test_processes_say_nothing(settings: Settings, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{settings.port}"
    logs = {name: tmp_path / f"{name}.log" for name in ("doctor", "serve", "worker")}
    running: dict[str, subprocess.Popen[bytes]] = {}
    shown = ""
    try:
        running["doctor"] = started(settings, logs["doctor"], "doctor", "--json")
        # To its end: others that start meanwhile could keep it from hearing an answer in time.
        assert running["doctor"].wait(60) == 1
        findings = {each["name"]: each for each in json.loads(logs["doctor"].read_text())}
        assert findings["postgres"]["fine"]
        for name in ("redis", "bus"):
            assert "refused the login" in findings[name]["detail"]
        running |= {name: started(settings, logs[name], name) for name in ("serve", "worker")}
        eventually(lambda: "Waiting for a dependency." in logs["worker"].read_text(), seconds=60)
        with httpx.Client(base_url=address, timeout=20) as client:
            eventually(lambda: _answers(client), seconds=60)
            token = make_token(settings, "ops", ("admin",), timedelta(hours=1))
            for path in ("/health", "/metrics", "/recs/ann", "/recs/models", "/no"):
                answer = client.get(path, headers={"Authorization": f"Bearer {token}"})
                shown += answer.text + str(answer.headers)
        for process in running.values():
            if process.poll() is None:
                here = psutil.Process(process.pid)
                shown += str([each.cmdline() for each in (here, *here.children(recursive=True))])
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait(20)
    assert MARK not in shown
    for name, log in logs.items():
        assert log.read_text(), name
        assert MARK not in log.read_text()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


Use = Callable[[Settings], object]


@pytest.mark.parametrize(
    ("given", "use"),
    [
        ({"postgres_url": f"postgresql://me:{MARK}@host:{MARK}/db"}, connect),
        ({"postgres_url": f"postgresql://me:{MARK}@host/db?sslmode={MARK}"}, connect),
        ({"postgres_url": f"postgresql://me:{MARK}@host:{MARK}/db"}, lambda it: Queue(it, {})),
        ({"postgres_url": f"mysql://me:{MARK}@host/db"}, connect),
        ({"redis_url": f"redis://me:{MARK}@host:{MARK}/0"}, lambda it: client_of(it, 1.0)),
        ({"redis_url": f"http://me:{MARK}@host"}, lambda it: client_of(it, 1.0)),
        ({"bus_url": f"nats://me:{MARK}@host:{MARK}"}, bus.bus_of),
        ({"bus_url": f"kafka://me:{MARK}@:{MARK}"}, bus.bus_of),
        ({"bus_url": f"kafka://me:{MARK}@:{MARK}"}, bus.events_of),
        ({"milvus_uri": f"{MARK}@host"}, load),
        ({"artifacts_url": f"s3:/{MARK}"}, artifact_store),
        ({"jwt_secret": MARK}, load),
        ({"jwt_jwks_url": f"ftp://me:{MARK}@host"}, load),
        ({"log_user_key": MARK}, load),
        ({"postgres_url": f"postgresql://me:{MARK}@h/db", "postgres_password_file": "F"}, connect),
        ({"bus_url": f"nats://me:{MARK}@h", "bus_password_file": "F"}, bus.bus_of),
        ({"jwt_secret_file": "F"}, check),
        ({"ca_file": "F", "redis_url": "rediss://h"}, lambda it: client_of(it, 1.0)),
        ({"client_certificate_file": "F", "bus_url": "tls://h"}, bus.bus_of),
    ],
)
def test_a_failing_start_says_nothing(given: dict[str, str], use: Use, tmp_path: Path) -> None:
    """Not even by the errors that it came of: whoever sees a traceback sees those, too."""
    file = tmp_path / "F"
    file.write_text(CERTIFICATE)
    at = {name: str(file) if value == "F" else value for name, value in given.items()}
    with pytest.raises(UpnextError) as caught:
        use(load(at))
    assert MARK not in "".join(traceback.format_exception(caught.value))


def test_representations_say_nothing(settings: Settings) -> None:
    parts = parsed(settings.postgres_url)
    assert MARK not in repr(settings) + str(settings) + repr(parts)
