"""CustomResourceDefinitions, made of pydantic models."""
