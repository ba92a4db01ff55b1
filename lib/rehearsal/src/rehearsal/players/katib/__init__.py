"""Katib: an Experiment becomes a Suggestion and Trials, a Trial a job, and its metrics an optimum."""
