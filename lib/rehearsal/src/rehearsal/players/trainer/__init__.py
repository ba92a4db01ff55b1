"""Trainer v2: a TrainJob and a runtime become a JobSet."""
