"""The error for a request that Juju refuses."""


class JujuError(Exception):
    """A refusal; the `juju` command prints its text after `ERROR`.

    Args:
        message: the text, in Juju's own words if Juju has such a message.
        code: the command's exit status.
    """

    def __init__(self, message: str, code: int = 1):
        super().__init__(message)
        self.code = code
