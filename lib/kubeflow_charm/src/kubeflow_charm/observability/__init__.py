"""What Prometheus, Grafana and Loki learn of an application: the same for every charm."""
