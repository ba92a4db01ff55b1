"""The database that the API server, the cache and the metadata store share.

The related MySQL gives a user with rights on one database only. The tables of the three programs have no name
in common (kubeflow/pipelines 2.17.0, backend/src/apiserver/model and backend/src/cache/model;
google/ml-metadata v1.14.0, util/metadata_source_query_config.cc). The programs write its name without quotes
(client_manager.go; mysql_metadata_source.cc).
"""

from __future__ import annotations

import ops

from kubeflow_charm.relations import mysql_client

NAME = "mlpipeline"


def endpoint(charm: ops.CharmBase) -> mysql_client.Requires:
    """Return the endpoint of the database."""
    return mysql_client.Requires(charm, "relational-db", database=NAME, plain=True)
