"""The options about GPUs, which several charms have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import pydantic

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.config import YAML, Config, if_empty
from kubeflow_charm.gpu.kubernetes_labels import ExtendedResource
from kubeflow_charm.gpu.pools import Gpus, discover
from kubeflow_charm.gpu.tolerations import ByDefault


def differing(field: str) -> pydantic.AfterValidator:
    """Return a validator for lists: no two entries have the same value of a field."""

    def check(entries: list[Any]) -> list[Any]:
        seen = [getattr(entry, field) for entry in entries]
        twice = {key for key in seen if seen.count(key) > 1}
        if twice:
            raise ValueError(f"{', '.join(sorted(twice))} is there twice")
        return entries

    return pydantic.AfterValidator(check)


class Vendor(pydantic.BaseModel):
    """A kind of GPU that an operator names, with the keys of upstream's form."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, defer_build=True)

    limitsKey: ExtendedResource  # noqa: N815 (upstream's key)
    uiName: Annotated[str, pydantic.Field(min_length=1, max_length=200)]  # noqa: N815


class GpuConfig(Config):
    """The options about GPUs; `charmcraft.yaml` describes each."""

    gpu_discovery: bool
    gpu_vendors: Annotated[list[Vendor], differing("limitsKey"), if_empty([]), YAML]
    gpu_taints: ByDefault

    def gpus(self, nodes: Callable[[], Iterable[Manifest]]) -> Gpus:
        """Return the GPUs of the cluster; none if the operator has switched discovery off.

        Args:
            nodes: reads all Node objects.
        """
        if not self.gpu_discovery:
            return Gpus()
        return discover(nodes(), {vendor.limitsKey for vendor in self.gpu_vendors}, self.gpu_taints)
