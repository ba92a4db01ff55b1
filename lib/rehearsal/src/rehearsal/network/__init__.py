"""The cluster network as the API server sees it: Services, pods' addresses, and who answers there."""
