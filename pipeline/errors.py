"""How a run can end badly although what it was given was right."""


class RunError(RuntimeError):
    """A run failed; the message names it and what to do. The command line exits with status 1.

    Args:
        retryable: whether the same run, tried again, might succeed.
    """

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable
