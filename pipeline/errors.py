"""The one exception for bad input: the command line turns it into exit status 2."""


class BadInput(ValueError):
    """Input that the user can mend.

    The message says where it was found, what was found, what was needed, and the remedy.
    `python -m pipeline` prints it without a traceback and exits with status 2.
    """


def of_system(error: OSError) -> BadInput:
    """What the system refuses of a path: no permission, no folder, no room."""
    place = error.filename2 or error.filename
    found = f"{place}: {error.strerror}" if place else str(error)
    return BadInput(
        f"{found}; needed a path that can be read and written. Correct the path, its permissions "
        "or what stands in its way."
    )
