"""A real node: kubelet, containerd and kube-proxy beside the control plane, in namespaces of their own."""
