"""Real servers on loopback, beside the S3 server: MariaDB, PostgreSQL and MLflow.

Each takes a free port, and is stopped by who started it; the guardian ends what a killed test leaves.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import uv

from rehearsal.cluster import build
from rehearsal.guardian import Guardian

MLFLOW = ("mlflow==3.17.2", "boto3", "pymysql")
FEAST = ("feast[postgres]==0.49.0",)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def install(*packages: str) -> None:
    """Install Debian packages, without what they only recommend; this takes root.

    Tests that run side by side wait for each other, since apt does not.
    """
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with (build.cache() / "apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
        options = ["-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]
        command = ["apt-get", "install", *options, *packages]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


def python_with(packages: Sequence[str], target: Path) -> Path:
    """Return a Python that has `packages`, in an environment of its own: MLflow's is forty times the size of ours."""
    program = uv.find_uv_bin()
    subprocess.run([program, "venv", "--quiet", str(target)], check=True)
    python = target / "bin/python"
    subprocess.run([program, "pip", "install", "--quiet", "--python", str(python), *packages], check=True)
    return python


@contextlib.contextmanager
def running(
    guardian: Guardian,
    command: list[str],
    port: int,
    log: Path,
    env: Mapping[str, str],
    within: float,
    address: str = "127.0.0.1",
) -> Iterator[int]:
    """Run a server as long as it is needed, from when it listens.

    Args:
        guardian: starts it.
        command: what is run.
        port: where it listens.
        log: what it prints; its folder is where it works.
        env: its environment.
        within: seconds in which it listens.
        address: where it listens.
    """
    process = guardian.spawn(command, log=log, cwd=log.parent, env=dict(env))
    try:
        deadline = time.monotonic() + within
        while not _listens(port, address):
            assert not process.ended.is_set(), log.read_text()[-2000:]
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.1)
        yield port
    finally:
        process.stop()


def _listens(port: int, address: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


@dataclasses.dataclass(frozen=True)
class MariaDb:
    """A MariaDB that runs: where its socket is, and its port."""

    socket: Path
    port: int

    def make(self, name: str, user: str, password: str) -> None:
        """Make a database and its user, as mysql-k8s does for an application."""
        quoted = password.replace("\\", "\\\\").replace("'", "\\'")
        statements = (
            f"CREATE DATABASE `{name}`; CREATE USER '{user}'@'%' IDENTIFIED BY '{quoted}'; "
            f"GRANT ALL PRIVILEGES ON `{name}`.* TO '{user}'@'%';"
        )
        command = ["mariadb", "--no-defaults", f"--socket={self.socket}", "--user=root"]
        subprocess.run(command, input=statements, text=True, check=True, capture_output=True)


@contextlib.contextmanager
def mariadb(guardian: Guardian, log: Path) -> Iterator[MariaDb]:
    """Run a MariaDB whose `root` has no password.

    It does not run as root, so that its files lie where its own user can get: not in a test's folder.
    """
    with tempfile.TemporaryDirectory(prefix="mariadb-") as folder:
        user = ["--user=mysql"] if os.geteuid() == 0 else []
        if user:
            shutil.chown(folder, "mysql")
        install = ["mariadb-install-db", f"--datadir={folder}", "--auth-root-authentication-method=normal"]
        subprocess.run([*install, "--skip-test-db", *user], check=True, capture_output=True)
        found = MariaDb(Path(folder, "socket"), free_port())
        command = ["mariadbd", "--no-defaults", f"--datadir={folder}", "--bind-address=127.0.0.1"]
        command += [f"--port={found.port}", f"--socket={found.socket}", *user]
        with running(guardian, command, found.port, log, os.environ, 30):
            yield found


@contextlib.contextmanager
def mlflow(
    guardian: Guardian, folder: Path, python: Path, store: str, root: str, env: Mapping[str, str]
) -> Iterator[int]:
    """Run MLflow on a database and an artifact store, as mlflow-server's container does; yield its port."""
    port = free_port()
    command = [str(python), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", store, "--default-artifact-root", root, "--workers", "1"]
    # Its workers for jobs take two gigabytes, and no run needs them.
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    log = folder / "mlflow.log"
    with running(guardian, command, port, log, environment | dict(env), 120):
        yield port


@dataclasses.dataclass(frozen=True)
class PostgreSql:
    """A PostgreSQL that runs: where its socket is, and its address."""

    folder: Path
    address: str
    programs: Path
    port: int = 5432

    def ask(self, statements: str, database: str = "postgres") -> str:
        """Run statements as the superuser; return what they print."""
        command = [self.programs / "psql", "-qtAX", "-v", "ON_ERROR_STOP=1", "-h", self.folder]
        command += ["-p", str(self.port), "-U", "postgres", "-d", database]
        done = subprocess.run(command, input=statements, text=True, check=True, capture_output=True)
        return done.stdout.strip()

    def make(self, name: str, user: str, password: str) -> None:
        """Make a database and its user, as postgresql-k8s does for an application."""
        role = f"\"{user}\" LOGIN PASSWORD '{password.replace(chr(39), chr(39) * 2)}'"
        exists = self.ask(f"SELECT 1 FROM pg_roles WHERE rolname = '{user}'")
        self.ask(f"{'ALTER' if exists else 'CREATE'} ROLE {role}")
        if not self.ask(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
            self.ask(f'CREATE DATABASE "{name}" OWNER "{user}"')


@contextlib.contextmanager
def postgresql(guardian: Guardian, log: Path, programs: Path) -> Iterator[PostgreSql]:
    """Run a PostgreSQL at port 5432 of a loopback address of its own, which clients are told by name only.

    It does not run as root, so that its files lie where its own user can get: not in a test's folder.
    """
    with tempfile.TemporaryDirectory(prefix="postgresql-") as name:
        folder, data = Path(name), Path(name) / "data"
        other = []
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
            other = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        initial = ["--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--no-locale"]
        subprocess.run(
            [*other, programs / "initdb", "-D", data, "-U", "postgres", *initial],
            check=True,
            capture_output=True,
            cwd=folder,
        )
        address = f"127.0.{secrets.randbelow(254) + 1}.{secrets.randbelow(254) + 1}"
        found = PostgreSql(folder, address, programs)
        where = ["-D", data, "-k", folder, "-h", address, "-p", found.port]
        command = [*other, str(programs / "postgres"), *map(str, where)]
        with running(guardian, command, found.port, log, os.environ, 30, address):
            yield found
