"""What must not be in a log: secrets by their value, by their form and by their name; user ids.

A line is gone over as it is written, by the thread that writes it: whoever logs need not remember
what an error of a driver may quote.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from core.errors import SetupError
from core.secrets import FILES, JWT_BYTES, jwt_secrets, secret_file
from core.settings import Settings

HIDDEN: Final = "[redacted]"
LONGEST = 16_384  # characters of one value: a stack trace fits, a body that got in does not
SHORTEST_SECRET = 6  # a shorter one may be part of any word
DEEPEST = 5  # values within values
_USER_KEYS: Final = ("user", "sub")

_SECRET_NAME = re.compile(
    r"password|passwd|secret|token|api_?key|access_?key|credential|authorization|cookie",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"[\w/{}.|~+-]*")  # most values: ids, routes, names
# Each pattern looks at a character a bounded number of times, whatever it is given.
_FORMS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"(://)[^\s/\"'<>]*@"), rf"\1{HIDDEN}@"),
    (re.compile(r"eyJ[\w-]+\.[\w-]*(?:\.[\w-]*)?"), HIDDEN),
    (re.compile(r"\b(bearer)\s+[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (
        re.compile(
            r"((?:password|passwd|secret|token|api[_-]?key|access[_-]?key(?:[_-]?id)?|credential"
            r"|signature|authorization|cookie)[\w-]{0,20}[\"']?\s{0,3}[:=]\s{0,3})"
            r"(?:(?:basic|bearer|digest)\s+)?(\"[^\"]*\"?|'[^']*'?|[^\s,;&\"')}\]]+)",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(r"(-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----).*?(?=-----END|\Z)", re.DOTALL),
        rf"\1{HIDDEN}",
    ),
    # PostgreSQL and its drivers quote the row, the parameters or the one they could not use.
    (
        re.compile(r"(\bDETAIL:|\[parameters:|invalid input for query argument \$\d+:)[^\n]*"),
        rf"\1 {HIDDEN}",
    ),
)  # fmt: skip
_QUOTED: Final = ("'{}'", '"{}"')


class Redaction:
    """Goes over the values of a line."""

    def __init__(
        self, secrets: Iterable[str] = (), hash_user: Callable[[str], str] | None = None
    ) -> None:
        """Make one.

        Args:
            secrets: values that are hidden wherever they stand.
            hash_user: what stands for a user's id; None leaves ids as they are.
        """
        # A longer one may contain a shorter one.
        found = sorted({each for each in secrets if len(each) >= SHORTEST_SECRET}, key=len)
        self._secrets = (
            re.compile("|".join(re.escape(each) for each in reversed(found))) if found else None
        )
        self._hash_user = hash_user

    def line(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a line, by name, as they may be written."""
        users = self._users(values)
        return {
            name: users[str(value)]
            if name in _USER_KEYS and value is not None and users
            else self._named(name, value, users, DEEPEST)
            for name, value in values.items()
        }

    def text(self, text: str, users: Mapping[str, str] | None = None) -> str:
        """A text without secrets, without the `users` that it quotes, and not too long."""
        if len(text) > LONGEST:
            text = f"{text[:LONGEST]} ... ({len(text) - LONGEST} characters more)"
        if not text.isascii():  # half a surrogate pair is in no encoding
            text = text.encode(errors="backslashreplace").decode()
        if self._secrets is not None:
            text = self._secrets.sub(HIDDEN, text)
        if _PLAIN.fullmatch(text) and "eyJ" not in text:  # no form below can be in it
            return text
        for pattern, instead in _FORMS:
            text = pattern.sub(instead, text)
        for user, hashed in (users or {}).items():
            for quoted in _QUOTED:
                text = text.replace(quoted.format(user), quoted.format(hashed))
        return text

    def _users(self, values: Mapping[str, Any]) -> dict[str, str]:
        """What stands for the users whom a line names."""
        if self._hash_user is None:
            return {}
        named = (values.get(name) for name in _USER_KEYS)
        return {str(user): self._hash_user(str(user)) for user in named if user is not None}

    def _named(self, name: str, value: Any, users: Mapping[str, str], deep: int) -> Any:  # noqa: ANN401
        if isinstance(value, str | bytes | SecretStr) and _names_a_secret(name):
            return HIDDEN
        return self._value(value, users, deep)

    def _value(self, value: Any, users: Mapping[str, str], deep: int) -> Any:  # noqa: ANN401
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, bytes | bytearray | memoryview):
            return f"{len(value)} bytes"  # of a body or of vectors: nobody reads them here
        if isinstance(value, str) or deep == 0:
            return self.text(str(value), users)
        if isinstance(value, Mapping):
            return {
                self.text(str(key), users): self._named(str(key), each, users, deep - 1)
                for key, each in value.items()
            }
        if isinstance(value, Sequence | set | frozenset):
            return [self._value(each, users, deep - 1) for each in value]
        return self.text(str(value), users)


@lru_cache(maxsize=1024)
def _names_a_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def redaction(settings: Settings) -> Redaction:
    """What these settings ask for: their own secrets hidden, user ids as they say.

    Raises:
        SetupError: user ids are to be hashed and there is no key for that.
    """
    hashing = user_hash(settings) if settings.log_user_ids == "hashed" else None
    return Redaction(secrets_of(settings), hashing)


def secrets_of(settings: Settings) -> frozenset[str]:
    """Every secret of the settings: tokens and keys, and the passwords in URLs."""
    found: set[str] = set()
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            found.add(value.get_secret_value())
        elif isinstance(value, Path) and name in FILES:
            found |= _lines(value)
        elif isinstance(value, str) and "://" in value:
            found |= _passwords(value)
    return frozenset(found)


def _lines(path: Path) -> set[str]:
    """The secrets in a file; whoever uses it says if it cannot be read."""
    try:
        return set(path.read_text(errors="replace").splitlines())
    except OSError:
        return set()


def _passwords(url: str) -> set[str]:
    try:
        password = urlsplit(url).password
    except ValueError:  # whoever uses the URL says what is wrong with it
        return set()
    return {password, unquote(password)} if password else set()


def user_hash(settings: Settings) -> Callable[[str], str]:
    """What stands for a user's id: the same for the same key, and nobody without it can find out.

    BLAKE2b in its keyed form (RFC 7693), 128 bits: without the key, no list of ids that somebody
    tries gives the hashes.

    Raises:
        SetupError: there is no key, or its file cannot be used.
    """
    secret = _key(settings)
    if secret is None or len(secret.encode()) < JWT_BYTES:
        raise SetupError(
            "UPNEXT_LOG_USER_IDS=hashed needs a key: set UPNEXT_LOG_USER_KEY to a secret of 32 "
            "bytes or more, the same for all processes. `openssl rand -hex 32` makes one."
        )
    key = hashlib.blake2b(secret.encode(), person=b"upnext log users").digest()

    def hashed(user_id: str) -> str:
        encoded = user_id.encode(errors="surrogatepass")
        return hashlib.blake2b(encoded, key=key, digest_size=16).hexdigest()

    return hashed


def _key(settings: Settings) -> str | None:
    """The key for user ids; without one of its own, the secret that tokens are signed with."""
    file = secret_file(settings, "log_user_key_file")
    if file is not None:
        return file.value()
    if settings.log_user_key is not None:
        return settings.log_user_key.get_secret_value()
    return next(iter(jwt_secrets(settings)), None)
