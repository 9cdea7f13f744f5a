"""One seed in the configuration; every stage derives its own."""

import hashlib


def derive_seed(seed: int, *stage: object) -> int:
    """A seed in [0, 2^32) for one stage, independent of every other stage's.

    Arguments:
        seed: the configuration's seed.
        stage: what the seed is for, such as `"training", "diatoms"`.
    """
    text = "/".join(str(part) for part in (seed, *stage))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
