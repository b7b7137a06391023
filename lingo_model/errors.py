"""The one exception that tells a user that what they gave cannot be used."""


class InputError(ValueError):
    """Something given from outside cannot be used.

    The message is one line for a tired reader: the thing, its value, what is allowed and the
    remedy, such as ``beam_size=0: needs 1 or more; set decode.beam_size``. The command line
    prints it without a traceback and exits with status 2.
    """
