"""The images that users can choose for a notebook, as upstream offers them.

From kubeflow/manifests 26.03, applications/jupyter/jupyter-web-app/upstream/base/configs/
spawner_ui_config.yaml. The first of each list is chosen unless the user chooses another.
"""

_SERVERS = "ghcr.io/kubeflow/kubeflow/notebook-servers"
_VERSION = "v1.10.0"


def _images(*names: str) -> list[str]:
    return [f"{_SERVERS}/{name}:{_VERSION}" for name in names]


JUPYTER = _images(
    "jupyter-scipy",
    "jupyter-pytorch-full",
    "jupyter-pytorch-cuda-full",
    "jupyter-pytorch-gaudi-full",
    "jupyter-tensorflow-full",
    "jupyter-tensorflow-cuda-full",
)
VSCODE = _images("codeserver-python")
RSTUDIO = _images("rstudio-tidyverse")
