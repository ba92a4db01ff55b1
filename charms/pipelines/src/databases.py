"""The database that the API server, the cache and the metadata store share.

The related MySQL gives a user with rights on one database only. The tables of the three programs have no name
in common (kubeflow/pipelines 2.17.0, backend/src/apiserver/model and backend/src/cache/model;
google/ml-metadata v1.14.0, util/metadata_source_query_config.cc).
"""

from __future__ import annotations

import re

from kubeflow_charm import blocked
from kubeflow_charm.relations import mysql_client

NAME = "mlpipeline"

_IDENTIFIER = re.compile(r"[A-Za-z0-9_$]{1,64}")
"""A name without quotes in MySQL: the programs write none (client_manager.go; mysql_metadata_source.cc)."""


def related(endpoint: mysql_client.Requires) -> mysql_client.Database:
    """Return the related database.

    Raises:
        Problem: if its data is missing or wrong, or if the programs cannot write its name.
    """
    found = endpoint.get()
    if not _IDENTIFIER.fullmatch(found.name):
        provider = endpoint.relations[0].app.name
        raise blocked(
            f"{provider} sent wrong data on {endpoint.name}", f"database: {found.name!r} needs quotes"
        )
    return found
