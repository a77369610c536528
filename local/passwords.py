"""The random passwords of the sandbox, in one file that only its owner may read."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from local.private_files import write_private


@dataclass(frozen=True)
class PasswordFile:
    """A JSON object of role and password at `path`, with mode 0600."""

    path: Path

    def get(self, role: str) -> str:
        """Return the password of `role`, a random one that is made at first and kept from then."""
        passwords: dict[str, str] = json.loads(self.path.read_text()) if self.path.exists() else {}
        if role not in passwords:
            passwords[role] = secrets.token_urlsafe(24)
            renewed = self.path.with_suffix(".new")
            write_private(renewed, json.dumps(passwords, indent=2))
            renewed.replace(self.path)
        return passwords[role]
