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


def envoy() -> str:
    """Return the configuration of Envoy, which translates gRPC-Web of browsers into the store's gRPC.

    It equals kubeflow/pipelines 2.17.0, metadata-envoy-configmap.yaml, except for the administration
    interface, which listens only to its own pod.
    """
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
    route = {
        "match": {"prefix": _READING},
        "route": {"cluster": "metadata", "max_stream_duration": {"grpc_timeout_header_max": "0s"}},
        "typed_per_filter_config": {"envoy.filters.http.cors": cors},
    }
    manager = {
        "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "codec_type": "AUTO",
        "stat_prefix": "ingress_http",
        "route_config": {
            "name": "local",
            "virtual_hosts": [{"name": "metadata", "domains": ["*"], "routes": [route]}],
        },
        "http_filters": [
            _filter("grpc_web", "grpc_web.v3.GrpcWeb"),
            _filter("cors", "cors.v3.Cors"),
            _filter("router", "router.v3.Router"),
        ],
    }
    listener = {
        "name": "grpc-web",
        "address": _address("0.0.0.0", 9090),  # noqa: S104 (in a pod)
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    http2 = {
        "@type": f"{_TYPE}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    endpoint = {"endpoint": {"address": _address("metadata-grpc-service", 8080)}}
    cluster = {
        "name": "metadata",
        "type": "LOGICAL_DNS",
        "connect_timeout": "30s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
        "load_assignment": {"cluster_name": "metadata", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    config = {
        "admin": {"address": _address("127.0.0.1", 9901)},
        "static_resources": {"listeners": [listener], "clusters": [cluster]},
    }
    return yaml.safe_dump(config, sort_keys=False)


def _filter(name: str, kind: str) -> dict[str, Any]:
    return {
        "name": f"envoy.filters.http.{name}",
        "typed_config": {"@type": f"{_TYPE}.filters.http.{kind}"},
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
