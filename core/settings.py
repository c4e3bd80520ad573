"""Every setting, and the only reader of the environment. Names are `UPNEXT_` + the field's."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.cron import OFF, check_cron
from core.errors import SetupError

# gRPC, which pymilvus brings, reads this as it is imported: `storage` imports this module before.
# Else it starts its threads anew in a fork that has no descriptors any more and is about to become
# a server: now and then that server ended before it began.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"

TracesExporter = Literal["otlp-http", "otlp-grpc", "console"]

ARTIFACTS = "s3://[^/]|file:///"
"""What a place of artifacts, or of their backups, begins with."""


def _url(description: str, *, schemes: str) -> Any:  # noqa: ANN401 - as pydantic's own `Field`
    """A URL, which may hold a password: not in any representation."""
    return Field(None, description=description, pattern=f"^({schemes})", repr=False)


def _file(description: str) -> Any:  # noqa: ANN401 - as pydantic's own `Field`
    """A file, read when it is needed."""
    return Field(None, description=description)


def _ca(whose: str) -> Any:  # noqa: ANN401 - as pydantic's own `Field`
    """A file of authorities for one dependency."""
    return _file(f"UPNEXT_CA_FILE for {whose} alone; `system` names the system's.")


def _cron(default: str, description: str) -> Any:  # noqa: ANN401 - as pydantic's own `Field`
    """A cron expression in UTC; `off` is never."""
    return Field(default, description=description)


class Settings(BaseSettings):
    """The service's settings; `docs/configuration.md` is the reader's table of them."""

    model_config = SettingsConfigDict(
        env_prefix="UPNEXT_",
        frozen=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,  # it may be a secret
    )

    home: Path = Field(Path(".upnext"), description="Where local state lives.")
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port the API listens on.")
    tls_certificate_file: Path | None = _file(
        "File of the API's certificate and those that lead to its authority: makes it https."
    )
    tls_key_file: Path | None = _file(
        "File of its key; not needed where the certificate's file has it."
    )
    tls_minimum: Literal["1.2", "1.3"] = Field("1.2", description="Oldest TLS that the API takes.")
    workers: int = Field(2, ge=1, le=64, description="API worker processes.")
    drain_seconds: float = Field(
        0.0, ge=0, le=600, description="How long the API goes on answering after SIGTERM."
    )

    postgres_url: str | None = _url(
        "postgresql://user:password@host/database", schemes="postgresql://|postgres://"
    )
    postgres_password_file: Path | None = _file("File of PostgreSQL's password.")
    postgres_read_url: str | None = _url(
        "postgresql://user:password@replica/database, what reads much may ask",
        schemes="postgresql://|postgres://",
    )
    postgres_read_password_file: Path | None = _file("File of the read replica's password.")
    postgres_ca_file: Path | None = _ca("PostgreSQL")
    redis_url: str | None = _url(
        "redis://host:6379/0, unix:///path.sock, or redis+cluster://host:6379,host:6379",
        # A cluster has nodes and no databases.
        schemes=r"redis://|rediss://|unix://|rediss?\+cluster://[^/?]+(/0?)?(\?.*)?$",
    )
    redis_password_file: Path | None = _file("File of Redis's password.")
    redis_ca_file: Path | None = _ca("Redis")
    milvus_uri: str | None = _url("http://host:19530", schemes="http://.|https://.")
    milvus_token: SecretStr | None = Field(None, description="user:password of Milvus, if any.")
    milvus_token_file: Path | None = _file("File of what UPNEXT_MILVUS_TOKEN would be.")
    milvus_ca_file: Path | None = _ca("Milvus")
    bus_url: str | None = _url(
        "nats://host:4222, or kafka://host:9092", schemes="nats://|tls://|kafka://|kafkas://"
    )
    bus_password_file: Path | None = _file("File of the bus's password, or of NATS's token.")
    bus_ca_file: Path | None = _ca("the bus")
    artifacts_url: str | None = _url("s3://bucket/prefix or file:///folder", schemes=ARTIFACTS)
    artifacts_ca_file: Path | None = _ca("S3")

    ca_file: Path | None = _file(
        "File of the authorities that all of these are trusted by; the system's if not set."
    )
    client_certificate_file: Path | None = _file(
        "File of our own certificate, for those of these that ask for one."
    )
    client_key_file: Path | None = _file(
        "File of its key; not needed where the certificate's file has it."
    )

    jwt_secret: SecretStr | None = Field(
        None, min_length=32, description="HS256 secret, 32 bytes or more."
    )
    jwt_secret_file: Path | None = _file(
        "File of HS256 secrets, one a line: the first signs, all are trusted."
    )
    jwt_issuer: str | None = Field(None, description="Required `iss` of tokens, if set.")
    jwt_audience: str | None = Field(None, description="Required `aud` of tokens, if set.")

    jwt_jwks_url: str | None = _url(
        "Where RS256 and ES256 keys are published: https://issuer/jwks.json",
        schemes="https://.|http://.",
    )
    jwt_ca_file: Path | None = _ca("the issuer")
    jwt_leeway_seconds: float = Field(
        30.0, ge=0, le=300, description="How far clocks of token issuers may be off."
    )

    limit_user_a_minute: int = Field(
        500, ge=1, description="Answers that a `user` token gets in any 60 s."
    )
    limit_service_a_minute: int | None = Field(None, ge=1, description="The same of `service`.")
    limit_trainer_a_minute: int | None = Field(None, ge=1, description="The same of `trainer`.")
    limit_admin_a_minute: int | None = Field(None, ge=1, description="The same of `admin`.")

    local_lists_bytes: int = Field(
        64_000_000, ge=0, description="Memory of a worker for finished answers."
    )
    computations: int = Field(
        16, ge=1, description="Lists that a worker makes at the same time; beyond is overload."
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="A port of its own for /metrics, instead of the API's."
    )
    access_log_sample: float = Field(
        0.01, ge=0, le=1, description="Share of cached 200s that get a line in the log."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Level.")
    log_user_ids: Literal["plain", "hashed"] = Field(
        "plain", description="How users are named in the log."
    )
    log_user_key: SecretStr | None = Field(
        None,
        min_length=32,
        description="What user ids are hashed with in the log; the JWT secret if not set.",
    )
    log_user_key_file: Path | None = _file("File of what UPNEXT_LOG_USER_KEY would be.")
    cors_origins: str | None = Field(
        None,
        description="Origins whose pages may call the API, such as https://shop.example,"
        " with commas between; never `*`.",
        pattern=r"^https?://[a-z0-9.\-]+(:\d+)?(\s*,\s*https?://[a-z0-9.\-]+(:\d+)?)*$",
    )
    postgres_pool_size: int = Field(10, ge=1, description="Connections a process keeps.")
    postgres_timeout_seconds: float = Field(5.0, gt=0, description="Longest wait for PostgreSQL.")
    postgres_read_timeout_seconds: float = Field(
        0.5, gt=0, description="Longest wait of a list for a user's state in PostgreSQL."
    )
    redis_timeout_seconds: float = Field(0.2, gt=0, description="Longest wait for Redis.")
    milvus_timeout_seconds: float = Field(
        2.0, gt=0, description="Longest wait for a search; Milvus gets half of it."
    )
    bus_timeout_seconds: float = Field(
        2.0, gt=0, description="Longest wait for one answer of the bus."
    )
    index: Literal["milvus", "exact"] = Field(
        "milvus", description="What serving searches: Milvus, or the mapped item vectors."
    )
    exact_bytes: int = Field(
        512_000_000, ge=0, description="Most bytes of vectors that exact search goes through."
    )
    changes_poll_seconds: float = Field(0.5, gt=0, description="How often replicas read news.")
    popularity_refresh_seconds: float = Field(10.0, gt=0, description="Age of popularity.")
    state_recent: int = Field(200, ge=1, le=1000, description="Recent watches kept of a user.")
    sweep_grace_seconds: float = Field(3600, ge=0, description="How long retired versions stay.")
    job_results_days: float = Field(
        7.0, gt=0, description="How long the lists of a batch job are kept."
    )

    events_batch: int = Field(
        2000, ge=1, le=10_000, description="Most events that a worker commits together."
    )
    dead_letters_days: float = Field(
        30.0, gt=0, description="How long events that could not be taken are kept."
    )
    worker_metrics_port: int | None = Field(
        None, ge=1, le=65535, description="A port for /metrics of a worker."
    )

    schedule_training: str = _cron("0 3 * * *", "When a model of UPNEXT_TRAINING_TYPE is trained.")
    schedule_refresh: str = _cron("*/15 * * * *", "When lists of active users are made anew.")
    schedule_encoding: str = _cron("* * * * *", "When new videos are encoded and added.")
    schedule_retention: str = _cron("17 * * * *", "When what is kept long enough is deleted.")
    schedule_sweep: str = _cron("*/5 * * * *", "When what old versions left is deleted.")
    schedule_shares: str = _cron("7 * * * *", "When it is counted how far videos are watched.")

    training_type: Literal["als", "sequence", "content"] = Field(
        "als", description="What a schedule trains."
    )
    training_reader: Literal["arrow", "ray"] = Field(
        "arrow", description="What turns a run's history into arrays: one process, or Ray."
    )
    ray_address: str | None = Field(
        None,
        description="ray://head:10001 of a cluster; unset, Ray runs on the machine that trains.",
        repr=False,
    )
    training_memory_bytes: int | None = Field(
        None, ge=1, description="Memory that a training may take; 3/4 of the machine's if not set."
    )
    promote: Literal["manual", "passed"] = Field(
        "manual", description="Whether a model that passed the gate goes live by itself."
    )
    gate_recall: float = Field(
        0.9, ge=0, description="Least recall@10 of a new model, as a share of the baseline's."
    )
    gate_ndcg: float = Field(
        0.9, ge=0, description="Least nDCG@10 of a new model, as a share of the baseline's."
    )
    gate_coverage: float = Field(
        0.5, ge=0, description="Least coverage@10 of a new model, as a share of the baseline's."
    )

    @field_validator(
        "schedule_training",
        "schedule_refresh",
        "schedule_encoding",
        "schedule_retention",
        "schedule_sweep",
        "schedule_shares",
    )
    @classmethod
    def _is_a_schedule(cls, value: str, field: ValidationInfo) -> str:
        if value not in {OFF, cls.model_fields[field.field_name or ""].default}:
            check_cron(value)
        return value


def load(overrides: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment, with `overrides` by field name on top.

    Raises:
        SetupError: a value cannot be used; the message names the variable.
    """
    try:
        return Settings(**(overrides or {}))  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "UPNEXT_" + str(first["loc"][0]).upper()
        wanted = Settings.model_fields[str(first["loc"][0])].description
        raise SetupError(
            f"{name} cannot be used: {first['msg']}. Correct or unset it; it is: {wanted}"
        ) from error


def strays() -> list[str]:
    """A sentence for each variable that is named like a setting and is none, by name.

    They are told of and not refused: orchestrators make variables of their own from the names of
    services.
    """
    known = {f"UPNEXT_{field.upper()}" for field in Settings.model_fields}
    ours = {name for name in os.environ if name.upper().startswith("UPNEXT_")}
    return [_stray(name, known) for name in sorted(ours) if name.upper() not in known]


def _stray(name: str, known: set[str]) -> str:
    near = get_close_matches(name.upper(), known, n=1, cutoff=0.8)
    meant = f"did you mean {near[0]}?" if near else "unset it, or see docs/configuration.md."
    return f"{name} is no setting and does nothing: {meant}"


def given(settings: Settings, field: str) -> str:
    """A URL that must be set by now. Raises `SetupError`."""
    value: str | None = getattr(settings, field)
    if value is None:
        raise SetupError(f"UPNEXT_{field.upper()} is not set: set it, or start with `upnext up`.")
    return value


def give_children(variables: Mapping[str, str]) -> None:
    """Set environment variables for the processes that this one starts from now on."""
    os.environ.update(variables)


def was_given(variables: Mapping[str, str]) -> bool:
    """Whether the environment has these variables already."""
    return variables.items() <= os.environ.items()


def keep_from_children(name: str) -> str | None:
    """The value of an environment variable that processes started from now on do not get."""
    return os.environ.pop(name, None)


def traces_are_wanted() -> TracesExporter | None:
    """How spans are sent, by OpenTelemetry's own variables; None: nowhere.

    They are sent when an endpoint is set, or OTEL_TRACES_EXPORTER; the other variables are read by
    its SDK.

    Raises:
        SetupError: a variable names what there is not.
    """
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    endpoint = _standard("ENDPOINT")
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "").strip() or (endpoint and "otlp")
    if exporter in {None, "none", "console"}:
        return "console" if exporter == "console" else None
    protocol = _standard("PROTOCOL") or "http/protobuf"
    ways: dict[str, TracesExporter] = {"http/protobuf": "otlp-http", "grpc": "otlp-grpc"}
    if exporter != "otlp":
        raise SetupError(
            f"OTEL_TRACES_EXPORTER cannot be {exporter!r}: set it to otlp, console or none."
        )
    if protocol not in ways:
        raise SetupError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL cannot be {protocol!r}: set it to http/protobuf or grpc."
        )
    return ways[protocol]


def caused_by() -> dict[str, str]:
    """The trace that this process was started in, as OpenTelemetry hands it to children."""
    names = ("traceparent", "tracestate")
    return {name: value for name in names if (value := os.environ.get(name.upper()))}


def _standard(what: str) -> str | None:
    """A variable of OTLP for traces, else the one for everything; None when it is empty."""
    names = f"OTEL_EXPORTER_OTLP_TRACES_{what}", f"OTEL_EXPORTER_OTLP_{what}"
    values = (os.environ.get(name, "").strip() for name in names)
    return next((value for value in values if value), None)


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment for a child process that must see the same settings."""
    ours = {}
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if value is not None:
            plain = value.get_secret_value() if isinstance(value, SecretStr) else value
            ours[f"UPNEXT_{name.upper()}"] = str(plain)
    return {**os.environ, **ours}
