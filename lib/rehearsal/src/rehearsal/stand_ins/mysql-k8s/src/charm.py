"""Plays mysql-k8s: gives each requesting application a database and its own user.

Facts: canonical/mysql-k8s-operator, 8.0, src/relations/mysql_provider.py. The real charm runs MySQL in its
own pod; MySQL is not played: only where pods run, a pod of its own runs MariaDB. Differences from the real
charm:

- An option of the stand-in sets the TLS data for clients.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import ops

from rehearsal.stand_ins import serving
from rehearsal.stand_ins.database import Database
from rehearsal.stand_ins.objects import DEPLOYMENT, JOB, SECRET
from rehearsal.stand_ins.stopping import blocked

IMAGE = (
    "ghcr.io/canonical/charmed-mysql@sha256:672f20830d66678a3ece7285048700d6e52a9393202eb51e9749eb35031559c4"
)
SERVER = """
set -e
mariadb-install-db --no-defaults --datadir=/data/db --auth-root-authentication-method=normal --skip-test-db
exec mariadbd --no-defaults --datadir=/data/db --socket=/data/mysqld.sock --pid-file=/data/mysqld.pid \\
  --port=3306 --bind-address=0.0.0.0 --skip-name-resolve --init-file=/secret/init.sql
"""


class MysqlK8s(Database):
    """The parts of mysql-k8s that other charms rely on."""

    container = "mysql"
    port = 3306
    port_name = "mysql"
    version = "8.0.41-0ubuntu0.22.04.1"

    _stored = ops.StoredState()

    def play(self) -> None:
        """Answer every request, and run the server, if it can run."""
        super().play()
        if serving.is_served("mysql-k8s"):
            self.run()

    def run(self) -> None:
        """Run a server, and have a Job make each relation's database and user."""
        self._stored.set_default(password=secrets.token_hex(16))
        name, password = serving.program_name(self.app.name), str(self._stored.password)
        admin = f"CREATE USER IF NOT EXISTS operator@'%' IDENTIFIED BY '{password}';"
        content = {
            "password": password,
            "init.sql": f"{admin}\nGRANT ALL ON *.* TO operator@'%' WITH GRANT OPTION;\n",
        }
        asked = {each.id: self._sql(each) for each in self.related("database")}
        content |= {f"{number}.sql": sql for number, sql in asked.items() if sql}
        container = {
            "image": IMAGE,
            "command": ["sh", "-c", SERVER],
            "readinessProbe": {"tcpSocket": {"port": self.port}, "periodSeconds": 1},
        }
        jobs = [self._job(name, number, sql) for number, sql in asked.items() if sql]
        self.objects.keep(SECRET, [serving.secret(self.app.name, content)])
        self.objects.keep(DEPLOYMENT, [serving.program(self.app.name, container, user=1000)], marked=True)
        self.objects.keep(JOB, jobs, marked=True)

    def _sql(self, relation: ops.Relation) -> str:
        """Return what makes a relation's database and user, however often; nothing before it is answered."""
        if (known := self.credentials(relation)) is None:
            return ""
        (user, password), database = known, relation.data[self.app]["database"].replace("`", "``")
        lines = (
            f"CREATE DATABASE IF NOT EXISTS `{database}`",
            f"CREATE USER IF NOT EXISTS '{user}'@'%' IDENTIFIED BY '{password}'",
            f"ALTER USER '{user}'@'%' IDENTIFIED BY '{password}'",
            f"GRANT ALL ON `{database}`.* TO '{user}'@'%'",
        )
        return "".join(f"{line};\n" for line in lines)

    def _job(self, name: str, number: int, sql: str) -> dict[str, Any]:
        """Return the Job that runs a relation's statements; others are another Job."""
        ask = f"mariadb --no-defaults -h {self.app.name}-primary -u operator -p$(cat /secret/password)"
        # The kubelet may know the Secret of a moment ago.
        script = f"until test -s /secret/{number}.sql && {ask} < /secret/{number}.sql; do sleep 1; done"
        digest = serving.digest({"sql": sql})["value"]
        spec = {
            "restartPolicy": "OnFailure",
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "sql",
                    "image": IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", script],
                    "volumeMounts": [{"name": "secret", "mountPath": "/secret", "readOnly": True}],
                }
            ],
            "volumes": [{"name": "secret", "secret": {"secretName": name}}],
        }
        labels = {"annotations": {"sidecar.istio.io/inject": "false"}}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": f"{name}-{number}-{digest}"},
            "spec": {"template": {"metadata": labels, "spec": spec}},
        }

    def service(self, role: str) -> dict[str, Any]:
        """Return a Service, which leads to the server that runs, if one does."""
        made = super().service(role)
        if serving.is_served("mysql-k8s"):
            made["spec"]["selector"] = {"app.kubernetes.io/name": serving.program_name(self.app.name)}
        return made

    def clear(self) -> None:
        """Delete what was made."""
        super().clear()
        if serving.is_served("mysql-k8s"):
            for kind in (JOB, DEPLOYMENT, SECRET):
                self.objects.keep(kind)

    def check(self) -> None:
        """Check the profile."""
        if self.config["profile"] not in ("production", "testing"):
            raise blocked("Invalid value for option profile: production, testing")

    def scrape_jobs(self) -> list[dict[str, Any]]:
        """Return the job of MySQL's exporter."""
        return [{"static_configs": [{"targets": ["*:9104"]}]}]

    def user(self, relation: ops.Relation) -> str:
        """Return the name of a relation's user, cut to what MySQL takes."""
        return f"relation-{relation.id}_{self.model.uuid.replace('-', '')}"[:26]

    def told(self, relation: ops.Relation) -> Mapping[str, str]:
        """Return both addresses."""
        return {"endpoints": self.endpoint("primary"), "read-only-endpoints": self.endpoint("replicas")}

    def endpoint(self, role: str) -> str:
        """Return a Service's address; its name ends with the dot of the DNS root."""
        return f"{self.app.name}-{role}.{self.model.name}.svc.cluster.local.:3306"

    def answer(self, relation: ops.Relation) -> None:
        """Answer a request, and tell of TLS, which may come and go."""
        super().answer(relation)
        said = relation.data[self.app]
        authority = str(self.config["stand-in-tls-ca"])
        tls = {"tls": "True", "tls-ca": authority}
        if authority:
            self.tell(relation, self.wanted(relation), "tls", tls)
        else:
            for key in ("secret-tls", *tls):
                said.pop(key, None)


if __name__ == "__main__":
    ops.main(MysqlK8s)
