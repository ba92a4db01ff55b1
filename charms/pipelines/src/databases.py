"""The database that API server, cache and metadata store share.

One related MySQL, and one database in it: the user that it gives has rights on no other. The tables of the
three have no name in common (kubeflow/pipelines 2.17.0, backend/src/apiserver/model and
backend/src/cache/model; google/ml-metadata v1.14.0, util/metadata_source_query_config.cc).
"""

from __future__ import annotations

import re

from kubeflow_charm import blocked
from kubeflow_charm.relations import mysql_client

NAME = "mlpipeline"

_IDENTIFIER = re.compile(r"[A-Za-z0-9_$]{1,64}")
"""What MySQL takes without quotes: the programs write none (client_manager.go; mysql_metadata_source.cc)."""


def related(endpoint: mysql_client.Requires) -> mysql_client.Database:
    """Return the related database.

    Raises:
        Problem: what keeps it from being read, or that it has a name which the programs cannot write.
    """
    found = endpoint.get()
    if not _IDENTIFIER.fullmatch(found.name):
        provider = endpoint.relations[0].app.name
        raise blocked(
            f"{provider} sent wrong data on {endpoint.name}", f"database: {found.name!r} needs quotes"
        )
    return found
