"""Secrets from files: what is read, what is refused, and how a change is followed."""

from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from structlog.testing import capture_logs

from api.auth import TokenVerifier, verifier
from api.secret_lines import SecretLines
from core.clock import utc_now
from core.errors import SetupError, Unauthenticated
from core.secrets import LARGEST_BYTES, SecretFile, check, jwt_secrets, secret_file
from core.settings import child_environment, load
from tests.asking import SECRET
from upnext.tokens import make_token

pytestmark = pytest.mark.unit

OLD, NEW = "old-" * 8, "new-" * 8
VARIABLE = "UPNEXT_REDIS_PASSWORD_FILE"


def token(secret: str) -> str:
    return jwt.encode({"sub": "ann", "exp": utc_now() + timedelta(hours=1)}, secret)


def write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("hush\n")
    return path


@pytest.mark.parametrize("written", ["hush", "hush\n", "hush\r\n"])
def test_the_newline_at_the_end_is_no_part_of_it(file: Path, written: str) -> None:
    file.write_bytes(written.encode())
    assert SecretFile(file, VARIABLE).value() == "hush"


def test_spaces_and_other_lines_are(file: Path) -> None:
    file.write_text(" hush\n\n")
    assert SecretFile(file, VARIABLE).value() == " hush\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"hush\xff", "not text"),
        (b"hush" * LARGEST_BYTES, "more than"),
        (None, "No such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_its_content_is_not(
    file: Path, content: bytes | None, said: str
) -> None:
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with pytest.raises(SetupError, match=f"{VARIABLE} names {file}.*{said}") as caught:
        secret_file(load({"redis_password_file": str(file)}), "redis_password_file")
    assert "hush" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)


def test_a_folder_is_no_secret(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="Is a directory"):
        SecretFile(tmp_path, VARIABLE)


def test_what_was_there_stays_while_the_file_is_broken(file: Path) -> None:
    secret = SecretFile(file, VARIABLE)
    file.unlink()
    with capture_logs() as lines:
        assert [secret.value(), secret.value()] == ["hush", "hush"]
    assert len(lines) == 1
    assert "hush" not in str(lines) + repr(secret)
    file.write_text("another")
    assert secret.value() == "another"


@pytest.mark.parametrize(
    ("field", "other", "value"),
    [
        ("jwt_secret_file", "jwt_secret", SECRET),
        ("milvus_token_file", "milvus_token", "me:hush"),
        ("postgres_password_file", "postgres_url", "postgresql://me:hush@host/database"),
        ("postgres_password_file", "postgres_url", "postgresql://me@host/database?password=hush"),
        ("redis_password_file", "redis_url", "rediss://:hush@host"),
        ("bus_password_file", "bus_url", "kafka://me:hush@host,host2:9092"),
    ],
)
def test_a_secret_is_given_once(file: Path, field: str, other: str, value: str) -> None:
    file.write_text(SECRET)
    settings = load({field: str(file), other: value})
    with pytest.raises(SetupError, match=f"UPNEXT_{other.upper()}.*UPNEXT_{field.upper()}") as said:
        check(settings)
    assert "hush" not in str(said.value)
    check(load({field: str(file)}))


def test_a_child_is_given_the_path(file: Path) -> None:
    file.write_text(SECRET)
    given = child_environment(load({"jwt_secret_file": str(file)}))
    assert given["UPNEXT_JWT_SECRET_FILE"] == str(file)
    assert SECRET not in str(given)


def test_of_several_secrets_of_tokens_the_first_signs(file: Path) -> None:
    file.write_text(f"\n{NEW}\n\n{OLD}\n")
    settings = load({"jwt_secret_file": str(file)})
    assert jwt_secrets(settings) == (NEW, OLD)


def test_a_short_line_is_refused(file: Path) -> None:
    file.write_text(f"{NEW}\nhush\n")
    with pytest.raises(SetupError, match="less than 32 bytes") as caught:
        verifier(load({"jwt_secret_file": str(file)}))
    assert "hush" not in str(caught.value)


async def test_tokens_go_over_from_one_secret_to_the_next(file: Path) -> None:
    write(file, OLD)
    lines = SecretLines(file, poll_seconds=0)
    checking = TokenVerifier(None, lines=lines)
    old = token(OLD)
    assert (await checking.verify(old)).sub == "ann"
    assert checking.known(old)

    write(file, f"{NEW}\n{OLD}\n")
    await lines.look()
    assert checking.known(old) is None
    new = token(NEW)
    assert [(await checking.verify(each)).sub for each in (old, new)] == ["ann", "ann"]

    write(file, NEW)
    await lines.look()
    assert (await checking.verify(new)).sub == "ann"
    with pytest.raises(Unauthenticated):
        await checking.verify(old)


async def test_a_file_that_is_broken_for_a_while_costs_nobody_anything(file: Path) -> None:
    write(file, OLD)
    lines = SecretLines(file, poll_seconds=0)
    checking = TokenVerifier(None, lines=lines)
    old = token(OLD)
    await checking.verify(old)
    write(file, "hush")
    with capture_logs() as said:
        await lines.look()
        await lines.look()
    assert [line["event"] for line in said] == ["jwt_secrets_not_read"]
    assert "hush" not in str(said)
    assert checking.known(old)


def test_commands_sign_with_the_first(file: Path) -> None:
    write(file, f"{NEW}\n{OLD}\n")
    signed = make_token(load({"jwt_secret_file": str(file)}), "7", ["user"], timedelta(hours=1))
    assert jwt.decode(signed, NEW, algorithms=["HS256"])["sub"] == "7"
