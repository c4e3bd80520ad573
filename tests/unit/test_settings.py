from pathlib import Path

import pytest

from core.errors import SetupError
from core.settings import Settings, child_environment, load, strays

pytestmark = pytest.mark.unit

TABLE = Path(__file__).parents[2] / "docs" / "configuration.md"


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_docs_name_every_setting_with_its_default(name: str) -> None:
    field = Settings.model_fields[name]
    default = "" if field.default is None else f"`{field.default}`"
    row = f"| `UPNEXT_{name.upper()}` | {default} | {field.description} |"
    assert row in TABLE.read_text(encoding="utf-8").splitlines()


def test_a_bad_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPNEXT_PORT", "eighty")
    with pytest.raises(SetupError, match="UPNEXT_PORT"):
        load()


def test_a_child_sees_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load({"port": "8123", "jwt_secret": "s" * 32})
    for name, value in child_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert load() == settings


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("postgres_url", "postgresql"),
        ("redis_url", "rediss"),
        ("milvus_uri", "https"),
        ("bus_url", "nats"),
        ("artifacts_url", "s3"),
    ],
)
def test_a_password_inside_a_url_is_not_in_the_representation(name: str, scheme: str) -> None:
    assert "hush" not in repr(load({name: f"{scheme}://me:hush@host"}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("postgres_url", "mysql://host/database"),
        ("redis_url", "http://host"),
        ("redis_url", "redis+cluster://"),
        ("redis_url", "redis+cluster://me:hush@host:1,host:2/3"),
        ("milvus_uri", "host"),
        ("bus_url", "host:4222"),
        ("artifacts_url", "/folder"),
        ("artifacts_url", "s3://"),
        ("jwt_secret", "short"),
        ("schedule_sweep", "every five minutes"),
        ("schedule_training", "0 0 31 2 *"),
        ("schedule_shares", "0," * 60 + "0 * * * *"),
        ("schedule_sweep", "R * * * *"),
        ("schedule_sweep", "H/5 * * * *"),
        ("schedule_sweep", "0 r(2-4) * * *"),
        ("schedule_training", "0 3 1 1 * 0 2099"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SetupError, match=f"UPNEXT_{name.upper()} cannot be used"):
        load({name: value})


def test_a_secret_is_not_in_the_representation() -> None:
    assert "hush" not in repr(load({"jwt_secret": "hush" * 8}))


def test_a_schedule_is_a_cron_expression_or_off() -> None:
    settings = load({"schedule_training": "off", "schedule_sweep": "*/10 * * * * *"})
    assert (settings.schedule_training, settings.schedule_sweep) == ("off", "*/10 * * * * *")
    for named in ("0 3 * MAR THU", "@daily"):
        assert load({"schedule_training": named}).schedule_training == named


def test_a_variable_that_is_no_setting_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    assert strays() == []
    monkeypatch.setenv("upnext_port", "8001")  # in whichever case
    monkeypatch.setenv("UPNEXT_REDIS_ULR", "redis://:hush@host")
    monkeypatch.setenv("UPNEXT_API_SERVICE_HOST", "10.0.0.1")
    assert strays() == [
        (
            "UPNEXT_API_SERVICE_HOST is no setting and does nothing: "
            "unset it, or see docs/configuration.md."
        ),
        "UPNEXT_REDIS_ULR is no setting and does nothing: did you mean UPNEXT_REDIS_URL?",
    ]
