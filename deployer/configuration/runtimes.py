"""The runtimes of the functions."""

from collections.abc import Callable, Mapping

DEFAULT = "python3.13"
# On Amazon Linux 2023: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
RUNTIMES = ("python3.12", DEFAULT, "python3.14")
TOO_OLD = ("python3.9", "python3.10", "python3.11")


def read_runtime(environment: Mapping[str, str], complain: Callable[[str, str, str], None]) -> str:
    """Read the runtime; `complain` is called with the setting's name, a problem and an example."""
    name, value = "LAMBDA_RUNTIME", environment.get("LAMBDA_RUNTIME") or DEFAULT
    if value in TOO_OLD:
        why = f"{value} runs on Amazon Linux 2, whose glibc 2.26 cannot load the layers' wheels"
        complain(name, f"is too old: {why}", DEFAULT)
    elif value not in RUNTIMES:
        complain(name, f"must be one of {', '.join(RUNTIMES)}", DEFAULT)
    return value
