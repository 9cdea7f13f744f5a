"""The one error a user can cause."""


class InputError(Exception):
    """Something in the configuration, the table or the images that the user can mend.

    The message is one line that names the key, subject or file and says what to do.
    Command line and workflow show it as `error: MESSAGE`, without a traceback.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(str(message).split()))
