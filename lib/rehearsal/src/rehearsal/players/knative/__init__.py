"""Knative's programs: the controllers of serving, its autoscaler, its webhook, and the ingress by Istio."""
