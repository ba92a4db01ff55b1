"""MinIO: a key for each profile, and the requests of its administrator."""
