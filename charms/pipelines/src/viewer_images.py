"""The images of TensorBoards that the web app of pipelines starts.

Its pages offer exactly these; a user may name another one (kubeflow/pipelines 2.17.0,
frontend/src/components/viewers/Tensorboard.tsx; the viewer controller defaults to one of them). No option
of ours reaches the pages, so `image-registry` does not redirect these images.
"""

_TAGS = (
    "1.7.1",
    "1.8.0",
    "1.9.0",
    "1.10.1",
    "1.11.0",
    "1.12.3",
    "1.13.2",
    "1.14.0",
    "1.15.5",
    "2.0.4",
    "2.1.2",
    "2.2.2",
)

IMAGES = [f"tensorflow/tensorflow:{tag}" for tag in _TAGS]
