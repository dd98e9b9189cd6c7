"""The one error that a user's mistake may raise."""


class UserError(Exception):
    """A fault that the user can mend: one line that says what, where and what to do.

    The command line prints the message without a traceback and exits with a code other than 0.

    >>> raise UserError("params.yaml: unknown key 'tran': did you mean 'train'?")
    Traceback (most recent call last):
    ...
    ser_ops.errors.UserError: params.yaml: unknown key 'tran': did you mean 'train'?
    """
