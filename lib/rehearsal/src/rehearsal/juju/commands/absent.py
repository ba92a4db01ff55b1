"""Juju commands that a rehearsal lacks, and the reasons."""

from __future__ import annotations

_REASONS = {
    "a rehearsal is its own controller, on its own cloud": (
        "add-cloud add-credential add-k8s autoload-credentials bootstrap clouds controller-config "
        "credentials default-credential default-region destroy-controller enable-ha kill-controller "
        "list-clouds migrate model-credential regions register remove-cloud remove-credential show-cloud "
        "show-credential unregister update-cloud update-credential update-k8s upgrade-controller "
        "upgrade-model"
    ),
    "there is one user, admin": (
        "add-user change-user-password disable-user enable-user grant grant-cloud login logout remove-user "
        "revoke revoke-cloud show-user users"
    ),
    "a Kubernetes model has no machines": (
        "add-machine add-ssh-key import-ssh-key list-machines machines remove-machine remove-ssh-key "
        "retry-provisioning show-machine ssh-keys"
    ),
    "there is no container behind a unit; juju exec, juju run and kubectl are there": (
        "debug-code debug-hook debug-hooks scp ssh"
    ),
    "secrets are kept by the controller alone": (
        "add-secret-backend list-secret-backends model-secret-backend remove-secret-backend secret-backends "
        "show-secret-backend update-secret-backend"
    ),
    "nobody else uses a rehearsal": "disable-command disabled-commands enable-command list-disabled-commands",
    "there is no dashboard and no firewall": "dashboard firewall-rules set-firewall-rule",
    "a charm's base comes with its folder or archive; refresh to another one": "set-application-base",
    "it is on https://documentation.ubuntu.com/juju": "documentation help-action-commands help-hook-commands",
    "Charmhub is not asked: stand-ins play its charms, and --charm NAME=DIR runs one from its source": (
        "charm-resources download find info"
    ),
    "a pod's claims do not change, and there is one pool, kubernetes": (
        "add-storage attach-storage create-storage-pool detach-storage import-filesystem "
        "remove-storage-pool update-storage-pool"
    ),
    "a Kubernetes model has no spaces": (
        "add-space bind list-spaces list-subnets move-to-space reload-spaces remove-space rename-space "
        "show-space spaces subnets"
    ),
}

WHY = {name: reason for reason, names in _REASONS.items() for name in names.split()}
"""The reason, by command."""
