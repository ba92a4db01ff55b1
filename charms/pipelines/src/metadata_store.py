"""The settings of the metadata store (MLMD) and of its Envoy proxy."""

from __future__ import annotations

import json
from typing import Any

import yaml

from kubeflow_charm.relations.mysql_client import Database

_TYPE = "type.googleapis.com/envoy.extensions"
CA_FILE = "/kfp/certs/ca.crt"


def server(database: Database) -> str:
    """Return a MetadataStoreServerConfig as text (google/ml-metadata v1.14.0, metadata_store.proto).

    The database exists, and its user may create no other, so `skip_db_creation` is set.
    """
    mysql = {
        "host": database.host,
        "port": database.port,
        "database": database.name,
        "user": database.username,
        "password": database.password,
        "skip_db_creation": True,
    }
    if database.tls:
        options = {"ca": CA_FILE} if database.tls_ca else {"capath": "/etc/ssl/certs"}
        mysql["ssl_options"] = {**options, "verify_server_cert": True}
    config = {
        "connection_config": {"mysql": mysql},
        "migration_options": {"enable_upgrade_migration": True},
    }
    return _text(config)


def _text(message: dict[str, Any], indent: str = "") -> str:
    """Return a protobuf message in its text format."""
    lines = []
    for field, value in message.items():
        if isinstance(value, dict):
            lines.append(f"{indent}{field} {{\n{_text(value, indent + '  ')}{indent}}}\n")
        elif isinstance(value, str):
            lines.append(f"{indent}{field}: {_quoted(value)}\n")
        else:
            lines.append(f"{indent}{field}: {json.dumps(value)}\n")
    return "".join(lines)


def _quoted(value: str) -> str:
    """Return a string literal; special bytes become three octal digits."""
    plain = (
        chr(byte) if 32 <= byte < 127 and byte not in b"\"'\\" else f"\\{byte:03o}" for byte in value.encode()
    )
    return f'"{"".join(plain)}"'


_READING = "/ml_metadata.MetadataStoreService/Get"
"""The beginning of the path of every request that only reads (google/ml-metadata v1.14.0,
metadata_store_service.proto). The web app asks the store who owns an artifact, so no browser may write there.
Upstream's pages never do.
"""


METRICS_PORT = 9902
"""Where Envoy shows its metrics; the administration interface, which has them, can also stop it."""


def envoy() -> str:
    """Return the configuration of Envoy, which translates gRPC-Web of browsers into the store's gRPC.

    It equals kubeflow/pipelines 2.17.0, metadata-envoy-configmap.yaml, except for the administration
    interface, which listens only to its own pod. A listener of its own shows the metrics, and nothing else.
    """
    admin = _address("127.0.0.1", 9901)
    http2 = {
        "@type": f"{_TYPE}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    store = _cluster("metadata", "LOGICAL_DNS", "30s", _address("metadata-grpc-service", 8080)) | {
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2}
    }
    filters = [_filter("grpc_web", "grpc_web.v3.GrpcWeb"), _filter("cors", "cors.v3.Cors")]
    metrics = {
        "match": {"path": "/metrics", "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]},
        "route": {"cluster": "admin", "prefix_rewrite": "/stats/prometheus"},
    }
    config = {
        "admin": {"address": admin},
        "static_resources": {
            "listeners": [
                _listener("grpc-web", 9090, "ingress_http", _reading(), filters),
                _listener("metrics", METRICS_PORT, "metrics", metrics, []),
            ],
            "clusters": [store, _cluster("admin", "STATIC", "5s", admin)],
        },
    }
    return yaml.safe_dump(config, sort_keys=False)


def _reading() -> dict[str, Any]:
    """Return the route of browsers to the store, which only reads."""
    cors = {
        "@type": f"{_TYPE}.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": [{"safe_regex": {"regex": ".*"}}],
        "allow_methods": "GET, PUT, DELETE, POST, OPTIONS",
        "allow_headers": (
            "keep-alive,user-agent,cache-control,content-type,content-transfer-encoding,custom-header-1,"
            "x-accept-content-transfer-encoding,x-accept-response-streaming,x-user-agent,x-grpc-web,grpc-timeout"
        ),
        "expose_headers": "custom-header-1,grpc-status,grpc-message",
        "max_age": "1728000",
    }
    return {
        "match": {"prefix": _READING},
        "route": {"cluster": "metadata", "max_stream_duration": {"grpc_timeout_header_max": "0s"}},
        "typed_per_filter_config": {"envoy.filters.http.cors": cors},
    }


def _listener(
    name: str, port: int, prefix: str, route: dict[str, Any], filters: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return a listener with one route; `prefix` is in the names of its metrics."""
    manager = {
        "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "codec_type": "AUTO",
        "stat_prefix": prefix,
        "route_config": {
            "name": "local",
            "virtual_hosts": [{"name": name, "domains": ["*"], "routes": [route]}],
        },
        "http_filters": [*filters, _filter("router", "router.v3.Router")],
    }
    chain = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {
        "name": name,
        "address": _address("0.0.0.0", port),  # noqa: S104 (in a pod)
        "filter_chains": [{"filters": chain}],
    }


def _cluster(name: str, kind: str, timeout: str, address: dict[str, Any]) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": address}}
    return {
        "name": name,
        "type": kind,
        "connect_timeout": timeout,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _filter(name: str, kind: str) -> dict[str, Any]:
    return {
        "name": f"envoy.filters.http.{name}",
        "typed_config": {"@type": f"{_TYPE}.filters.http.{kind}"},
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
