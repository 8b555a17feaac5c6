"""The one exception a user is meant to read."""


class UserError(Exception):
    """Bad input: the message names the file, line or option and says what to do about it.

    Command-line programs print the message alone (no traceback) and exit with status 2.
    """
