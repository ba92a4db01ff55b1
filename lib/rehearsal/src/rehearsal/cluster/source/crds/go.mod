// The modules whose CustomResourceDefinition files a rehearsal reads; nothing of them is compiled.
module rehearsal/crds

go 1.26.0

require (
	github.com/prometheus-operator/prometheus-operator v0.85.0
	istio.io/api v1.28.3
	knative.dev/operator v0.42.2
	sigs.k8s.io/gateway-api v1.4.0
)
