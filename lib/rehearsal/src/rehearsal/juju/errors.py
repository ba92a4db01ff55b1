"""What Juju refuses."""


class JujuError(Exception):
    """A refusal; its text is what the `juju` command prints after `ERROR`.

    Args:
        message: Juju's own words where it has some.
        code: the command's exit status.
    """

    def __init__(self, message: str, code: int = 1):
        super().__init__(message)
        self.code = code
