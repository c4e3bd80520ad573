"""milvus-compose.yml names what there is: files, settings, secrets, variables, and checks."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.settings import Settings

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "milvus-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
STORES: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose/stores.yml").read_text())
ONE_SHOT = {"buckets", "migrate", "streams"}
OURS = {"api", "migrate", "streams", "worker"}
PINNED = re.compile(r"^[a-z0-9./-]+:v?[A-Za-z]*\.?\d+[\w.-]*\d[\w.-]*$")

each = pytest.mark.parametrize("name", sorted(SERVICES))


@each
def test_its_image_is_built_here_or_pinned(name: str) -> None:
    service = SERVICES[name]
    if name in OURS:
        stages = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        assert service["build"]["target"] in stages
        assert (ROOT / service["build"]["context"] / "Dockerfile").is_file()
    else:
        assert PINNED.match(service["image"]), "a whole version, so that it changes when we say so"


@each
def test_it_tells_how_it_is_or_ends(name: str) -> None:
    service = SERVICES[name]
    if name in ONE_SHOT:
        assert service.get("restart", "no") == "no"
    else:
        assert service["healthcheck"]["test"]
        assert service["restart"] == "unless-stopped"
        assert service["deploy"]["resources"]["limits"]["memory"]


@each
def test_it_waits_for_what_can_be_waited_for(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        ends = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
        assert how == {"condition": ends}


@each
def test_what_it_mounts_is_there(name: str) -> None:
    for mount in SERVICES[name].get("volumes", []):
        source = mount.split(":")[0]
        if source.startswith("./"):
            assert (ROOT / source).exists()
            assert mount.endswith(":ro")
        elif ":" in mount:
            assert source in COMPOSE["volumes"]
    assert set(SERVICES[name].get("networks", [])) <= set(COMPOSE["networks"])


@each
def test_its_settings_are_known_and_its_secrets_files(name: str) -> None:
    service = SERVICES[name]
    mounted = {f"/run/secrets/{secret}" for secret in service.get("secrets", [])}
    for variable, value in service.get("environment", {}).items():
        if variable.startswith("UPNEXT_"):
            assert variable.removeprefix("UPNEXT_").lower() in Settings.model_fields
        assert not re.search(r"(PASSWORD|SECRET|SECRET_KEY)$", variable)
        if "/run/secrets/" in value:
            assert value in mounted
    for secret in re.findall(r"/run/secrets/[\w.]+", str(service)):
        assert secret in mounted


def test_settings_fit_together() -> None:
    environment = SERVICES["api"]["environment"]
    fields = {
        name.removeprefix("UPNEXT_").lower(): value
        for name, value in environment.items()
        if name.startswith("UPNEXT_")
    }
    settings = Settings(**fields)
    grace = float(SERVICES["api"]["stop_grace_period"].removesuffix("s"))
    assert grace > settings.drain_seconds + 5
    assert SERVICES["worker"]["environment"] == environment == SERVICES["migrate"]["environment"]


def test_no_service_is_reached_from_elsewhere_but_three() -> None:
    published = {name for name, service in SERVICES.items() if "ports" in service}
    assert published == {"grafana", "prometheus", "proxy"}
    for name in published | {"proxy"}:
        assert all(port.startswith("${LISTEN:-127.0.0.1}:") for port in SERVICES[name]["ports"])
        assert "stores" not in SERVICES[name].get("networks", ["default"])
    stores = {name for name, service in SERVICES.items() if service.get("networks") == ["stores"]}
    assert stores == {"buckets", "etcd", "milvus", "minio", "nats", "postgres", "redis"}
    assert COMPOSE["networks"]["stores"] == {"internal": True}
    for name, service in STORES["services"].items():
        assert name in stores
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_the_example_of_env_names_what_can_be_chosen() -> None:
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", TEXT))
    assert len(used) == len(set(re.findall(r"\$\{(\w+)", TEXT))), "each has a default"
    lines = (ROOT / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert example == used


def test_the_script_makes_every_secret_once(tmp_path: Path) -> None:
    script = tmp_path / "secrets.sh"
    script.write_text((ROOT / "deploy/compose/secrets.sh").read_text())
    folder = tmp_path / "secrets"

    def run() -> dict[str, str]:
        subprocess.run(["/bin/sh", str(script)], check=True, capture_output=True)  # noqa: S603
        return {path.name: path.read_text() for path in folder.iterdir()}

    made = run()
    needed = {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    assert set(made) == needed | {"milvus.env"}
    assert all(Path(secret["file"]).name == name for name, secret in COMPOSE["secrets"].items())
    assert SERVICES["milvus"]["env_file"] == ["deploy/compose/secrets/milvus.env"]
    assert len(made["jwt_secret"]) == 64
    assert len(set(made.values())) == len(made)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}

    (folder / "redis_password").unlink()
    again = run()
    assert again["redis_password"] in again["redis.conf"]
    assert {name for name in made if made[name] != again[name]} == {"redis_password", "redis.conf"}


def test_prometheus_asks_where_the_proxy_does_not_lead() -> None:
    scraped = yaml.safe_load((ROOT / "deploy/monitoring/prometheus.yml").read_text())
    ports = {
        one["job_name"]: found["port"]
        for one in scraped["scrape_configs"]
        for found in one.get("dns_sd_configs", [])
    }
    proxy = (ROOT / "deploy/compose/haproxy.cfg").read_text()
    led_to = re.findall(r"server-template api 8 api:(\d+)", proxy)
    metrics = int(SERVICES["api"]["environment"]["UPNEXT_METRICS_PORT"])
    assert (ports["upnext-api"], led_to) == (metrics, [str(Settings.model_fields["port"].default)])
    assert str(metrics) not in led_to
