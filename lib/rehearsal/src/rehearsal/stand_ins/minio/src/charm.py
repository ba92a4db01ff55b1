"""Plays minio: sends the store's address and its administrator's key.

Facts: canonical/minio-operator, 1.10. The real charm runs MinIO in its own pod. MinIO is not played: only
where pods run does a pod of its own run it. Juju opens the ports; the real charm patches the Service itself,
and sends the store's data before its pod is up.
"""

from __future__ import annotations

import secrets
import string
from pathlib import Path
from typing import Any

import ops

from rehearsal.stand_ins import metrics, serving
from rehearsal.stand_ins.handshake import speaking
from rehearsal.stand_ins.objects import DEPLOYMENT, SECRET, KubernetesStandIn
from rehearsal.stand_ins.stopping import blocked, starting

IMAGE = "docker.io/charmedkubeflow/minio:ckf-1.10-b40ac43"
SHORTEST = 8
"""Minimum characters of a secret key."""


class Minio(KubernetesStandIn):
    """The parts of minio that other charms rely on."""

    endpoints = speaking(Path(__file__).parents[1] / "charmcraft.yaml")
    _stored = ops.StoredState()

    def play(self) -> None:
        """Check the options, and send the store's data to all relations."""
        storage = self.interface("object-storage")
        self.check_mode()
        if not self.unit.get_container("minio").can_connect():
            raise starting("Waiting for pod startup to complete")
        port = int(self.config["port"])
        if serving.is_served("minio"):
            self.run(port)
        self.unit.set_ports(port, int(self.config["console-port"]))
        storage.send(
            {
                "access-key": str(self.config["access-key"]),
                "secret-key": self.secret_key(),
                "service": self.app.name,
                "namespace": self.model.name,
                "port": port,
                "secure": False,
            }
        )

    def run(self, port: int) -> None:
        """Run MinIO with the administrator's key."""
        keys = {"MINIO_ROOT_USER": str(self.config["access-key"]), "MINIO_ROOT_PASSWORD": self.secret_key()}
        ports = [f"--address=:{port}", f"--console-address=:{self.config['console-port']}"]
        container = {
            "image": IMAGE,
            "args": ["server", "/data", *ports],
            "env": [serving.digest(keys), {"name": "MINIO_PROMETHEUS_AUTH_TYPE", "value": "public"}],
            "envFrom": [{"secretRef": {"name": serving.program_name(self.app.name)}}],
            "readinessProbe": {
                "httpGet": {"path": "/minio/health/ready", "port": port},
                "periodSeconds": 1,
            },
        }
        self.objects.keep(SECRET, [serving.secret(self.app.name, keys)])
        self.objects.keep(DEPLOYMENT, [serving.program(self.app.name, container, user=1000)], marked=True)

    def clear(self) -> None:
        """Delete what runs MinIO."""
        if serving.is_served("minio"):
            self.objects.keep(DEPLOYMENT)
            self.objects.keep(SECRET)

    def scrape_jobs(self) -> list[dict[str, Any]]:
        """Return the job of the store's metrics."""
        return [metrics.job(int(self.config["port"]), "/minio/v2/metrics/cluster")]

    def check_mode(self) -> None:
        """Check the options of the mode."""
        mode, service = self.config["mode"], self.config["gateway-storage-service"]
        if mode not in ("server", "gateway"):
            raise blocked(f"Invalid mode '{mode}'. Supported values: 'server', 'gateway'")
        if mode == "gateway" and not service:
            reason = "MinIO gateway mode requires 'gateway-storage-service' configuration."
            raise blocked(f"{reason} Supported values: 's3', 'azure'")

    def secret_key(self) -> str:
        """Return the option's key, or a key generated once and kept."""
        said = str(self.config["secret-key"])
        if said:
            if len(said) < SHORTEST:
                raise blocked("The 'secret-key' config value must be at least 8 characters long.")
            return said
        letters = string.ascii_uppercase + string.digits
        self._stored.set_default(secret_key="".join(secrets.choice(letters) for _ in range(30)))
        return str(self._stored.secret_key)


if __name__ == "__main__":
    ops.main(Minio)
