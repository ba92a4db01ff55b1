"""The name of the database, as Katib's database manager takes it.

The program makes a data source name of variables: `<user>:<password>@tcp(<host>:<port>)/<name>?timeout=5s`
(kubeflow/katib v0.19.0, pkg/db/v1beta1/mysql/mysql.go). It has no variable for TLS, but the name may bring
parameters of the driver. The program's own parameter then ends up in the last one of ours. So this is the
list of character sets, of which the driver takes the first that the server knows (go-sql-driver/mysql v1.5.0,
dsn.go and connection.go).
"""

from __future__ import annotations

from kubeflow_charm.relations.mysql_client import Database


def with_parameters(database: Database) -> str:
    """Return the name; if the server speaks TLS, with the parameters for TLS with a verified certificate."""
    return f"{database.name}?timeout=5s&tls=true&charset=utf8mb4," if database.tls else database.name
