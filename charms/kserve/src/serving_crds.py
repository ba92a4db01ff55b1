"""All CustomResourceDefinitions of KServe."""

from __future__ import annotations

import graph_schemas
import inference_pool_schemas
import isvc_schemas
import llm_schemas
import local_model_schemas
import runtime_schemas

from kubeflow_charm import Manifest


def definitions() -> list[Manifest]:
    """Return the thirteen definitions.

    They are there whatever runs: the web app and the roles of users name kinds of all parts, and a controller
    that is switched off leaves the objects of users as they are.
    """
    return [
        isvc_schemas.isvc_definition(),
        *runtime_schemas.definitions(),
        *graph_schemas.definitions(),
        *local_model_schemas.definitions(),
        *llm_schemas.definitions(),
        *inference_pool_schemas.definitions(),
    ]
