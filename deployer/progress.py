"""The progress events of a deployment; the command line decides how they look."""

from collections.abc import Callable
from dataclasses import dataclass

from deployer.aws.changes import Change
from deployer.aws.waiting import Waited


@dataclass(frozen=True)
class Started:
    """Work on a resource, or on a package, has begun."""

    kind: str
    name: str


Event = Started | Waited | Change
# Called from several threads.
Report = Callable[[Event], None]
