"""Certificates for admission webhooks, which the API server must trust."""
