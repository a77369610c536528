"""What moto holds, kept as bytes: a test begins with a deployment that another one has made."""

import io
import pickle
from threading import Lock, RLock
from types import FunctionType
from typing import Any
from weakref import WeakValueDictionary

from moto.core.base_backend import BackendDict
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends

_LOCKS = (type(Lock()), type(RLock()))
_BACKENDS: Any = BackendDict  # generic, and its list of the services in use is not
_IAM: Any = iam_backends


def is_new() -> bool:
    """Return whether nothing is in moto's accounts: of all services, IAM has been asked for us."""
    asked = {service.service_name for service in _BACKENDS._instances}
    return asked <= {"sts", "iam"} and not any(
        backend.roles for _, _, backend in _IAM.iter_backends()
    )


class KeptAccounts:
    """Everything in moto's accounts at one moment; `restore` puts a copy into an empty moto."""

    def __init__(self) -> None:
        self._shared: list[object] = []
        self._services: list[BackendDict[Any]] = list(_BACKENDS._instances)
        held = [
            {account: dict(regions) for account, regions in service.items()}
            for service in self._services
        ]
        data = io.BytesIO()
        _Pickler(data, self._shared).dump((held, s3_backends.bucket_accounts))
        self._data = data.getvalue()

    def restore(self) -> None:
        """Put a copy into moto, in whose accounts there must be nothing."""
        held, bucket_accounts = _Unpickler(io.BytesIO(self._data), self._shared).load()
        for service, accounts in zip(self._services, held, strict=True):
            for account, regions in accounts.items():
                service[account].update(regions)
        s3_backends.bucket_accounts.update(bucket_accounts)


class _Pickler(pickle.Pickler):
    """Shares locks and the functions that have no name: they hold nothing of an account."""

    def __init__(self, file: io.BytesIO, shared: list[object]) -> None:
        super().__init__(file)
        self._shared = shared

    def persistent_id(self, value: object) -> int | None:
        is_nameless = isinstance(value, FunctionType) and "<" in value.__qualname__
        if not is_nameless and not isinstance(value, _LOCKS):
            return None
        assert getattr(value, "__closure__", None) is None, f"{value} may hold a part of an account"
        self._shared.append(value)
        return len(self._shared) - 1

    def reducer_override(self, value: object) -> Any:
        if isinstance(value, WeakValueDictionary):
            return WeakValueDictionary, (dict(value),)
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, shared: list[object]) -> None:
        super().__init__(file)
        self._shared = shared

    def persistent_load(self, number: int) -> object:
        return self._shared[number]
