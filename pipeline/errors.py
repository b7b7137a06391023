"""The error of a run that fails although its input is correct, and error messages in one line."""


class RunError(RuntimeError):
    """A run failed. The message names the run, the cause and the remedy in one line.

    The command line prints the message without a traceback and exits with status 1.

    Args:
        message: the line to print.
        retryable: whether the same run can succeed if it is started again.
    """

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


def one_line(error: BaseException) -> str:
    """The message of an error in one line. Runs of white space become single spaces."""
    return " ".join(str(error).split())
