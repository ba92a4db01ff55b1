"""A real Kubernetes control plane, made of local processes."""
