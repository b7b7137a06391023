"""The exception for input that cannot be used."""


class InputError(ValueError):
    """A value, file or setting from outside cannot be used.

    The message is one line: the thing, its value, what is allowed, and the remedy. An example is
    ``beam_size=0: needs a whole number of 1 or more``. The command line prints the message
    without a traceback and exits with status 2.
    """
