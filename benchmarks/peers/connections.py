"""Connections for those peers that use pg8000."""

from typing import Any
from urllib.parse import unquote, urlsplit


def pg8000_connection(url: str) -> Any:
    """Open a DB-API connection of pg8000, of the kind that awswrangler insists on."""
    import pg8000

    parts = urlsplit(url)
    return pg8000.connect(
        unquote(parts.username or ""),
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 5432,
        password=unquote(parts.password or ""),
        database=unquote(parts.path.removeprefix("/")),
    )


def sqlalchemy_url(url: str) -> str:
    """Return the URL with the driver that comes with dlt; SQLAlchemy's default is another."""
    return url.replace("postgresql://", "postgresql+psycopg2://", 1)
