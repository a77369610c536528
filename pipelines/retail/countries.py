"""The countries whose public holidays are known."""

import re

DEFAULT = "NG"


def has_holidays(code: str) -> bool:
    """Return whether the holidays of a country are known, by its code in ISO 3166."""
    if code == DEFAULT:  # each cold start asks this, and the package takes 50 ms to import
        return True
    try:
        from holidays import list_supported_countries
    except ImportError:  # functions need it, and not the machine that they are deployed from
        return re.fullmatch("[A-Z]{2}", code) is not None
    return code in list_supported_countries()
