"""Why a connection over TLS did not come about, in words that say who has to mend what."""

import re
import ssl
from collections.abc import Iterator
from typing import Final

_EXPIRED: Final = "its certificate has expired: renew it there"
_EARLY: Final = "its certificate is not valid yet: see that the clocks are right"
_NAME: Final = "its certificate is for another name: use a name that is in the certificate"
_STRANGER: Final = (
    "its certificate is signed by an authority that is not trusted: "
    "UPNEXT_CA_FILE names those that are"
)
_REFUSED: Final = (
    "its certificate has expired, or is signed by an authority that is not trusted: see "
    "UPNEXT_CA_FILE"
)
_WANTED: Final = "it asks for a certificate of ours: set UPNEXT_CLIENT_CERTIFICATE_FILE"
_PLAIN: Final = "it does not speak TLS there: correct the URL or its port"
_OLD: Final = "it speaks no version of TLS that is safe: 1.2 or newer is needed"

# OpenSSL's words, which gRPC, libpq and urllib3 pass on, and those of libpq and urllib3 themselves.
_WORDS: Final = (
    ("certificate has expired", _EXPIRED),
    ("certificate is not yet valid", _EARLY),
    ("hostname mismatch|ip address mismatch|does not match host name|doesn't match", _NAME),
    ("hostname verification check failed|no match found for server name", _NAME),
    ("self.signed certificate|unable to get( local)? issuer|unable to verify the first", _STRANGER),
    ("certificate.verify.failed", _REFUSED),
    ("certificate.required|bad.certificate|peer did not return a certificate", _WANTED),
    ("wrong.version.number|record layer failure|http.request|packet length too long", _PLAIN),
    ("rejected ssl upgrade|server does not support ssl", _PLAIN),
    ("unsupported.protocol|tlsv1 alert protocol version", _OLD),
)


def trouble(error: BaseException) -> str:
    """A sentence for what TLS found wrong, without its subject; empty when TLS found nothing.

    Errors that this one came of count too.
    """
    for each in causes(error):
        said = str(each).lower()
        if isinstance(each, ssl.SSLCertVerificationError):
            said = str(each.verify_message).lower() or said
        for words, sentence in _WORDS:
            if re.search(words, said):
                return sentence
    return ""


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and all that it came of, SQLAlchemy's way included."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = getattr(error, "orig", None) or error.__cause__ or error.__context__
