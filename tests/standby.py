"""A PostgreSQL server that others may follow, and a standby that streams from it."""

import os
import pwd
from pathlib import Path

from storage.embedded.postgres import PostgresServer, _program
from storage.embedded.privilege import unprivileged_account


class Primary(PostgresServer):
    """An embedded server whose log may be streamed, by whoever the servers run as."""

    def _write_access(self) -> None:
        super()._write_access()
        account = unprivileged_account() or pwd.getpwuid(os.geteuid())
        with (self.data / "pg_hba.conf").open("a") as access:
            access.write("local replication postgres peer map=upnext\n")
        with (self.data / "pg_ident.conf").open("a") as names:
            names.write(f"upnext {account.pw_name} postgres\n")


class Standby(Primary):
    """A copy of a primary that runs, made at its first start; then it streams."""

    title = "standby"

    def __init__(self, home: Path, primary: Primary) -> None:
        super().__init__(home)
        self._of = primary.private_folder()

    def _create(self) -> None:
        self.data.mkdir(mode=0o700)
        self._own(self.data)
        source = f"host={self._of} user=postgres"
        where = ["-D", str(self.data), "-d", source]
        self._run([_program("pg_basebackup"), *where, "-R", "-c", "fast", "-X", "stream"])

    def end(self) -> None:
        """Stop it in a way that it comes back at the same address."""
        self.ask_to_stop()
        if self.process is not None:
            self.process.wait(30)
