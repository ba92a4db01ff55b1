"""What a user reads when the rehearsal itself cannot go on."""


class RehearsalError(Exception):
    """Something outside our power is in the way; the text is the one sentence to print, no traceback."""
