"""Fixtures for all tests: see `rehearsal.pytest_plugin`."""

pytest_plugins = ["rehearsal.pytest_plugin"]
