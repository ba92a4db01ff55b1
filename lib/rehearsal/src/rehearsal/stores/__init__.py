"""Played object stores: the part of MinIO that its administrators use."""
