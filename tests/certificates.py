"""Certificates for the tests: an authority, what it signs, and what is wrong with some of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from core.access import Files

HERE = ("127.0.0.1", "localhost")


class Authority:
    """An authority whose certificates are files of a folder; `ca` is its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._made = trustme.CA()
        self._folder = folder
        self.ca = folder / "ca.pem"
        self._made.cert_pem.write_to_path(self.ca)

    def issue(self, name: str = "server", *names: str, expired: bool = False) -> Path:
        """Key and certificate in one file; of this machine, if no other names are given."""
        until = datetime.now(UTC) - timedelta(days=1) if expired else None
        before = None if until is None else until - timedelta(days=1)
        issued = self._made.issue_cert(*(names or HERE), not_before=before, not_after=until)
        path = self._folder / f"{name}.pem"
        # In one step, as it is renewed where somebody reads it meanwhile.
        aside = path.with_suffix(".new")
        issued.private_key_and_cert_chain_pem.write_to_path(aside)
        aside.replace(path)
        return path

    def files(self, *, client: bool = False) -> Files:
        """What one who trusts this authority has, and with `client` a certificate of his own."""
        return Files(self.ca, self.issue("client", "upnext") if client else None)


def mounted(place: Path, content: Path, name: str = "tls.pem") -> Path:
    """The file as a cluster mounts a secret: behind two links, the second of which is replaced.

    What was there before is deleted.
    """
    place.mkdir(exist_ok=True)
    data = place / "..data"
    before = data.readlink() if data.is_symlink() else None
    folder = place / f"..{len(list(place.glob('..[0-9]*')))}"
    folder.mkdir()
    (folder / name).write_bytes(content.read_bytes())
    aside = place / "..new"
    aside.symlink_to(folder.name)
    aside.replace(data)
    if before is not None:
        (place / before / name).unlink()
    link = place / name
    if not link.is_symlink():
        link.symlink_to(f"..data/{name}")
    return link
