"""The processes that run charms' code, and the hook tools that they find there."""
