"""How a run can end badly although what it was given was right."""


class RunError(RuntimeError):
    """A run failed; the message names it and what to do. The command line exits with status 1."""
