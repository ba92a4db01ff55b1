"""Charms that play Charmhub's: the real ones' names, endpoints, options, handshakes and what others rely on.

| stand-in | plays | makes in Kubernetes |
| --- | --- | --- |
| istio-pilot | canonical/istio-operators, 1.28 | Istio's CRDs, Gateway, EnvoyFilter, VirtualServices |
| istio-gateway | canonical/istio-operators, 1.28 | Deployment, Services, ServiceAccount of the gateway |
| dex-auth | canonical/dex-auth-operator, 2.41 | nothing |
| oidc-gatekeeper | canonical/oidc-gatekeeper-operator, ckf-1.10 | nothing |
| mysql-k8s | canonical/mysql-k8s-operator, 8.0 | Services |
| minio | canonical/minio-operator, 1.10 | nothing |
| s3-integrator | canonical/object-storage-integrator, 2 | nothing |
| mlflow-server | canonical/mlflow-operator, 2.22 | nothing |

Each has its own folder, as any charm, and says in its docstring where it differs from the real one. All of
them differ in that they reconcile on every hook, not on some; that garbage from another application blocks
them, naming it, where the real ones mostly fail in the hook; and that an active one says `stand-in`. The
endpoints that they declare and do not speak on are those for the service mesh, certificates, logs, metrics
and dashboards. `optional` is said of every endpoint that the real charm works without.
"""
