"""The one way in which a thing is removed: look, remove it, and report whether it was there.

With an account that is `planning` nothing is removed: the same call reports what is there,
before a teardown and after it.
"""

from collections.abc import Callable

from deployer.aws.changes import Gate
from deployer.aws.reading import found


def remove(
    gate: Gate, look: Callable[[], object], call: Callable[[], object], *absent: str
) -> bool:
    """Remove a thing, and return whether there was one.

    `absent` are the codes by which AWS says that there is none; that it went while `call` was at
    work is no error. `call` may be repeated from its beginning when AWS is late.
    """
    if found(look, *absent) is None:
        return False
    gate.write(lambda: found(call, *absent))
    return True
