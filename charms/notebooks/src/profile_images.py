"""The charm's images that run in profiles, and their pull secrets.

The charm writes the pods of viewers of volumes itself. The controller of TensorBoards writes their
pods: it copies the labels of the TensorBoard, but sets no pull secret (kubeflow/kubeflow v1.10.0,
components/tensorboard-controller/controllers/tensorboard_controller.go, generateDeployment). A label chooses
a PodDefault, and the form for a TensorBoard offers PodDefaults as configurations.
"""

from __future__ import annotations

from kubeflow_charm import Manifest
from kubeflow_charm.images import Images, pull_secret_name

BOARD = "tensorboard"
"""The resource with the image of TensorBoards."""
VIEWER = "volume-viewer"
"""The resource with the image of viewers."""
PULLED_BOARD = "tensorboard-image-pull"
"""The PodDefault with the pull secret of TensorBoards, and the label that selects it."""


def secrets(application: str, images: Images) -> list[Manifest]:
    """Return the pull secret of profiles, if a registry asks for credentials."""
    secret = images.profile_pull_secret(application, [images.references[name] for name in (BOARD, VIEWER)])
    return [secret] if secret else []


def viewer_pull_secret(application: str, images: Images) -> str:
    """Return the name of the viewers' pull secret; empty if their registry needs none.

    A pod that names a pull secret gets none from its service account.
    """
    return pull_secret_name(application) if _asks(images, VIEWER) else ""


def pod_defaults(application: str, images: Images) -> list[Manifest]:
    """Return the PodDefault for TensorBoards, if their registry asks for credentials."""
    if not _asks(images, BOARD):
        return []
    spec = {
        "desc": "Pull the TensorBoard image",
        "selector": {"matchLabels": {PULLED_BOARD: "true"}},
        "imagePullSecrets": [{"name": pull_secret_name(application)}],
    }
    return [
        {
            "apiVersion": "kubeflow.org/v1alpha1",
            "kind": "PodDefault",
            "metadata": {"name": PULLED_BOARD},
            "spec": spec,
        }
    ]


def _asks(images: Images, resource: str) -> bool:
    """Whether the registry of a resource's image asks for credentials."""
    return images.asks(images.references[resource])
