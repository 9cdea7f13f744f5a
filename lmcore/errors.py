"""The one error a user can cause, and lack of memory in words."""

import re


class InputError(Exception):
    """Something in the configuration, the table or the images that the user can mend.

    The message is one line that names the key, subject or file and says what to do.
    Command line and workflow show it as `error: MESSAGE`, without a traceback.
    """

    def __init__(self, message: str):
        text = " ".join(str(message).split())
        # a file's name may hold what moves the cursor, or is no character at all
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text))


def lack_of_memory(error: BaseException) -> str | None:
    """What to tell of an error that is lack of memory; None of any other.

    torch raises a plain RuntimeError on the CPU, and an error of its own for a GPU; ITK and HDF5
    pass on what their languages say.
    """
    text = " ".join(str(error).split())
    if asked := re.search(r"DefaultCPUAllocator.*?tried to allocate (\d+) bytes", text):
        text = f"{int(asked[1]) / 1e6:,.0f} MB at once were not to be had"
    elif not (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or re.search("bad_alloc|(allocate|of) memory|memory allocation", text)
    ):
        return None
    return f"not enough memory ({text or 'no more was to be had'}): give it more"
