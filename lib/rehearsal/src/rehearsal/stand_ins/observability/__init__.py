"""What the charms of Canonical's observability stack do with what others send them.

Facts: the libraries of the charms' track 2 (canonical/prometheus-k8s-operator, lib/charms/prometheus_k8s;
canonical/grafana-k8s-operator, lib/charms/grafana_k8s; canonical/loki-k8s-operator, lib/charms/loki_k8s;
canonical/opentelemetry-collector-k8s-operator, src), canonical/cos-lib and canonical/cos-tool.

| module | what it plays |
| --- | --- |
| `topology` | JujuTopology of cos-lib |
| `scraping` | MetricsEndpointConsumer: from what an application says to a scrape configuration |
| `alerting` | what a reader makes of alert rules, and Rules of cos-lib: what a collector sends on |
| `expressions` | cos-tool: checks an expression, and restricts it to one application |
| `dashboards` | GrafanaDashboardConsumer, and what a collector sends on |
| `observing` | the base of the stand-ins |
"""
