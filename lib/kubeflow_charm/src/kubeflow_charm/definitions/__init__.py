"""CustomResourceDefinitions from models."""
