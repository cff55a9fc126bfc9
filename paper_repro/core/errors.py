"""Errors that a user can mend: one line each, shown without a traceback."""


class UserError(Exception):
    """Bad input or a missing piece. The message says what, where and what to do, in one line."""

    exit_code = 2


class Interrupted(UserError):
    """A signal stopped the work; what was done is saved and the same command goes on from there."""

    exit_code = 130
