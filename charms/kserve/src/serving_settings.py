"""KServe's configuration: the ConfigMap `inferenceservice-config`, section by section.

Values that nobody has changed are upstream's (kubeflow/manifests 26.03, applications/kserve/kserve: the
release v0.16.0 with the platform's own `ingress`). Each section is JSON, in which some numbers are texts.
"""

from __future__ import annotations

import json
from typing import Any

from kserve_options import KServeOptions

from kubeflow_charm.relations.gateway_info import Gateway

CONFIG = "inferenceservice-config"
"""The ConfigMap; KServe looks for it by this name in its own namespace."""
LOCAL_SERVICE = "knative-local-gateway"
"""The Service of Knative's gateway for calls within the cluster, in the namespace of Istio's gateway
(canonical/knative-operators 2026-05, charms/knative-serving/src/manifests/KnativeServing.yaml.j2)."""
NO_LOCAL_GATEWAY = "knative-serving/knative-local-gateway"
"""Upstream's value. Without Knative nothing reads it; KServe does not start without any."""

Section = dict[str, Any]

_SMALL = {"memoryRequest": "100Mi", "memoryLimit": "1Gi", "cpuRequest": "100m", "cpuLimit": "1"}


def sections(
    config: KServeOptions,
    images: dict[str, str],
    gateway: Gateway,
    local_gateway: Gateway | None,
    pull_secret: str,
) -> dict[str, Section]:
    """Return the sections with their values.

    Args:
        config: the options.
        images: the images of users' pods, by what they are for.
        gateway: the Istio gateway in front of models.
        local_gateway: Knative's gateway for calls within the cluster, if Knative is related.
        pull_secret: the Secret of profiles with which a graph's router is pulled; empty without.
    """
    usual: dict[str, Section] = {
        "agent": {"image": images["agent"]} | _SMALL,
        "autoscaler": {
            "scaleUpStabilizationWindowSeconds": "0",
            "scaleDownStabilizationWindowSeconds": "300",
        },
        "batcher": {
            "image": images["batcher"],
            "memoryRequest": "1Gi",
            "memoryLimit": "1Gi",
            "cpuRequest": "1",
            "cpuLimit": "1",
            "maxBatchSize": "32",
            "maxLatency": "5000",
        },
        "credentials": _credentials(),
        "deploy": {"defaultDeploymentMode": config.mode},
        "explainers": {"art": _explainer(images["art-explainer"])},
        "inferenceService": {
            "resource": {"cpuLimit": "1", "memoryLimit": "2Gi", "cpuRequest": "1", "memoryRequest": "2Gi"}
        },
        "ingress": _ingress(config, gateway, local_gateway),
        "localModel": {
            "enabled": config.local_models,
            "jobNamespace": "kserve-localmodel-jobs",
            "defaultJobImage": images["storage-initializer"],
            "fsGroup": 1000,
        },
        "logger": {"image": images["logger"]} | _SMALL | {"defaultUrl": "http://default-broker"},
        "metricsAggregator": {"enableMetricAggregation": "false", "enablePrometheusScraping": "false"},
        "multiNode": {},
        "opentelemetryCollector": {
            "scrapeInterval": "5s",
            "metricReceiverEndpoint": "keda-otel-scaler.keda.svc:4317",
            "metricScalerEndpoint": "keda-otel-scaler.keda.svc:4318",
            "resource": {
                "cpuLimit": "1",
                "memoryLimit": "2Gi",
                "cpuRequest": "200m",
                "memoryRequest": "512Mi",
            },
        },
        "router": {"image": images["router"], **_SMALL, "imagePullPolicy": "IfNotPresent"}
        | ({"imagePullSecrets": [pull_secret]} if pull_secret else {}),
        "security": {"autoMountServiceAccountToken": True},
        "service": {},
        "storageInitializer": {
            "image": images["storage-initializer"],
            **_SMALL,
            "caBundleConfigMapName": "",
            "caBundleVolumeMountPath": "/etc/ssl/custom-certs",
            "enableModelcar": True,
            "cpuModelcar": "10m",
            "memoryModelcar": "15Mi",
            "uidModelcar": 1010,
        },
    }
    changes = config.inferenceservice_config
    return {name: _merged(section, changes.get(name, {})) for name, section in usual.items()}


def texts(found: dict[str, Section]) -> dict[str, str]:
    """Return the ConfigMap's data: each section as text."""
    return {name: json.dumps(section, indent=2) for name, section in found.items()}


def read_at_start(found: dict[str, Section]) -> list[Section]:
    """Return the sections that the controller reads once (v0.16.0, cmd/manager/main.go)."""
    return [found[name] for name in ("deploy", "ingress", "multiNode")]


def _credentials() -> Section:
    return {
        "storageSpecSecretName": "storage-config",
        "storageSecretNameAnnotation": "serving.kserve.io/storageSecretName",
        "gcs": {"gcsCredentialFileName": "gcloud-application-credentials.json"},
        "s3": {
            "s3AccessKeyIDName": "AWS_ACCESS_KEY_ID",
            "s3SecretAccessKeyName": "AWS_SECRET_ACCESS_KEY",
            "s3Endpoint": "",
            "s3UseHttps": "",
            "s3Region": "",
            "s3VerifySSL": "",
            "s3UseVirtualBucket": "",
            "s3UseAccelerate": "",
            "s3UseAnonymousCredential": "",
            "s3CABundle": "",
        },
    }


def _ingress(config: KServeOptions, gateway: Gateway, local_gateway: Gateway | None) -> Section:
    namespace = config.gateway_namespace(gateway)
    return {
        "enableGatewayApi": False,
        "kserveIngressGateway": gateway.reference,
        "ingressGateway": gateway.reference,
        "localGateway": local_gateway.reference if local_gateway else NO_LOCAL_GATEWAY,
        "localGatewayService": f"{LOCAL_SERVICE}.{namespace}.svc.{config.cluster_domain}",
        "ingressDomain": config.domain_name,
        "ingressClassName": "istio",
        "domainTemplate": "{{ .Name }}-{{ .Namespace }}.{{ .IngressDomain }}",
        "urlScheme": "http",
        "disableIstioVirtualHost": False,
        "disableIngressCreation": False,
        "pathTemplate": "/serving/{{ .Namespace }}/{{ .Name }}",
    }


def _explainer(image: str) -> Section:
    """Return the two halves of an image, which KServe joins with a colon (pkg/apis/serving/v1beta1)."""
    repository, colon, tag = image.rpartition(":")
    if not colon or "/" in tag:
        return {"image": image, "defaultImageVersion": "latest"}
    return {"image": repository, "defaultImageVersion": tag}


def _merged(usual: Section, changes: Section) -> Section:
    """Return a section whose fields, and the fields of its objects, are changed one by one."""
    result = dict(usual)
    for name, value in changes.items():
        before = result.get(name)
        result[name] = (
            _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
        )
    return result
