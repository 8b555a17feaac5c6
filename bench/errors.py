"""The one exception a user is meant to read."""


class UserError(Exception):
    """Bad input: the message names the file, line or option and says what to do about it.

    Command-line programs print the message alone (no traceback) and exit with status 2.
    """


def lacking(what: str, extra: str) -> UserError:
    """What is asked for needs a package of one of the project's extras, which is not installed.

    Args:
        what: the option, file or feature.
        extra: its name in ``pyproject.toml``.
    """
    return UserError(
        f"{what} needs the extra {extra}: pip install -c constraints.txt -e '.[{extra}]'"
    )
