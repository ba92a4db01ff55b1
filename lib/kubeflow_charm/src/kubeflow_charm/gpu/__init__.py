"""GPUs: what the nodes of a cluster offer, and what pods need to reach it."""
