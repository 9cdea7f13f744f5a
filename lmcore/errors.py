"""The one error a user can cause."""


class InputError(Exception):
    """Something in the configuration, the table or the images that the user can mend.

    The message is one line that names the key, subject or file and says what to do.
    Command line and workflow show it as `error: MESSAGE`, without a traceback.
    """

    def __init__(self, message: str):
        text = " ".join(str(message).split())
        # a file's name may hold what moves the cursor, or is no character at all
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text))
