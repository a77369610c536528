"""What all clients of botocore have in common, made once for a process.

botocore makes it for each client: of the 65 ms that an account with its 16 clients takes, half; of
the 12 ms of a session with one client of S3, two thirds. And it reads the times of a list of 20
objects for half of the time that the list takes, which is 2.7 ms.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from botocore import hooks, useragent
from botocore.client import ClientCreator
from botocore.endpoint_provider import RuleSet
from botocore.hooks import EventAliaser
from botocore.loaders import create_loader
from botocore.utils import parse_timestamp

_CREATOR: Any = ClientCreator  # the stubs show public methods alone
_ALIASER: Any = EventAliaser
_HOOKS: Any = hooks
_USERAGENT: Any = useragent


@contextmanager
def shared_parts() -> Iterator[None]:
    """Share what depends on nothing but a service, a name or a text; undo it afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", cache(create_loader))
        patch.setattr(_CREATOR, "_load_service_model", _once_by_name(_CREATOR._load_service_model))
        patch.setattr(_CREATOR, "_create_client_class", _classes_once())
        patch.setattr(_ALIASER, "_alias_event_name", _once_by_name(_ALIASER._alias_event_name))
        patch.setattr("botocore.hooks.accepts_kwargs", _asked_once(_HOOKS.accepts_kwargs))
        patch.setattr("botocore.endpoint_provider.RuleSet", _rules_once())
        patch.setattr("botocore.useragent.sanitize_user_agent_string_component", _agent_once())
        patch.setattr("botocore.parsers.DEFAULT_TIMESTAMP_PARSER", _read_once(parse_timestamp))
        yield


def _once_by_name(make: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method whose result depends on its arguments, and not on whose method it is."""
    made: dict[tuple[Any, ...], Any] = {}

    def make_once(owner: object, *names: str | None) -> Any:
        if names not in made:
            made[names] = make(owner, *names)
        return made[names]

    return make_once


def _classes_once() -> Callable[..., type]:
    create = _CREATOR._create_client_class
    classes: dict[str, type] = {}

    def create_once(creator: ClientCreator, service: str, model: Any) -> type:
        return classes.get(service) or classes.setdefault(service, create(creator, service, model))

    return create_once


def _asked_once(accepts: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return what says whether a handler takes any keyword, which each session asks of 130."""
    known: WeakKeyDictionary[FunctionType, Any] = WeakKeyDictionary()

    def accepts_once(handler: Any) -> Any:
        function = getattr(handler, "__func__", handler)
        if not isinstance(function, FunctionType):
            return accepts(handler)
        if function not in known:
            known[function] = accepts(handler)
        return known[function]

    return accepts_once


def _agent_once() -> Callable[..., str]:
    """Return what replaces what may not be in `User-Agent`, of which each request has 20 parts."""
    return lru_cache(1_000)(_USERAGENT.sanitize_user_agent_string_component)


def _read_once(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return what reads the texts of times: a log that is listed again has the same ones."""
    known = lru_cache(5_000)(parse)
    return lambda value: (known if isinstance(value, str) else parse)(value)


def _rules_once() -> Callable[..., RuleSet]:
    """Return what makes the rules of a service's endpoints, by the documents that it is told."""
    made: dict[tuple[int, ...], tuple[RuleSet, dict[str, Any]]] = {}

    def make_once(**documents: Any) -> RuleSet:
        key = (id(documents["rules"]), id(documents["partitions"]))
        if key not in made:
            made[key] = RuleSet(**documents), documents  # which live on: an id is theirs alone
        return made[key][0]

    return make_once
