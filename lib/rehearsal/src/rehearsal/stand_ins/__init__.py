"""Stand-ins for Charmhub charms: same names, endpoints, options, handshakes, and effects that others rely on.

| stand-in | plays | makes in Kubernetes |
| --- | --- | --- |
| istio-pilot | canonical/istio-operators, 1.28 | Istio's CRDs, Gateway, EnvoyFilter, VirtualServices |
| istio-gateway | canonical/istio-operators, 1.28 | Deployment, Services, ServiceAccount of the gateway |
| dex-auth | canonical/dex-auth-operator, 2.41 | nothing |
| oidc-gatekeeper | canonical/oidc-gatekeeper-operator, ckf-1.10 | nothing |
| mysql-k8s | canonical/mysql-k8s-operator, 8.0 | Services |
| minio | canonical/minio-operator, 1.10 | nothing |
| s3-integrator | canonical/object-storage-integrator, 2 | nothing |
| knative-operator | canonical/knative-operators, 1.16 | the operator's CRDs, a collector of metrics |
| knative-serving | canonical/knative-operators, 1.16 | Knative's serving 1.15 with net-istio |
| knative-eventing | canonical/knative-operators, 1.16 | Knative's eventing 1.15 |
| mlflow-server | canonical/mlflow-operator, 2.22 | nothing |
| opentelemetry-collector-k8s | canonical/opentelemetry-collector-k8s-operator, 2 | nothing |
| prometheus-k8s | canonical/prometheus-k8s-operator, 2 | nothing |
| alertmanager-k8s | canonical/alertmanager-k8s-operator, 2 | nothing |
| grafana-k8s | canonical/grafana-k8s-operator, 2 | nothing |
| loki-k8s | canonical/loki-k8s-operator, 2 | nothing |

Each has its own folder, like any charm; its docstring lists its differences from the real one. All of them
differ in three ways: they reconcile on every hook, not on some; wrong data from another application blocks
them with a status that names it, while most real ones fail in the hook; an active one says `stand-in`.
They say where their metrics are (`metrics`), and what they say to the observability stack is checked there
(`observability`). They declare but do not use the endpoints for the service mesh, certificates, logs and
dashboards.
Every endpoint that the real charm works without is `optional`.
"""
