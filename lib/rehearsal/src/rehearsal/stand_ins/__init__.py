"""Charms that play Charmhub's: the real ones' names, endpoints, options and handshakes, and little else."""
