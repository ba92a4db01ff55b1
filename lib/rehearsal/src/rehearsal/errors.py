"""The error that users read when the rehearsal cannot go on."""


class RehearsalError(Exception):
    """Something outside our control stops the rehearsal; print its one-sentence text, no traceback."""
