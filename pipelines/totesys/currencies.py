"""The names of currencies, which the shop's database does not have."""


def currency_name(code: str) -> str | None:
    """Return the name that ISO 4217 gives to a code, None for a code that it does not have."""
    from iso4217 import Currency  # only where rows are made

    try:
        return str(Currency(code).currency_name)
    except ValueError:
        return None
