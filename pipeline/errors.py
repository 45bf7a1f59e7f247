"""The one exception for bad input: the command line turns it into exit status 2."""


class BadInput(ValueError):
    """Input that the user can mend.

    The message says where it was found, what was found, what was needed, and the remedy.
    `python -m pipeline` prints it without a traceback and exits with status 2.
    """
