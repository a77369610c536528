"""What all parts of the product call themselves, and which form their logs have."""

NAME = "source-to-warehouse"
# The form of manifests. Increase it with a change by which code from before it would misread what
# is written after it: `deploy.py rollback` then refuses to go back across that change.
LOG_FORM = 1
