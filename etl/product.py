"""What all parts of the product call themselves, and which form their logs have."""

NAME = "source-to-warehouse"
# The highest form of manifests that is read. Increase it with a change by which code from before it
# would misread what is written after it, and give that form to the manifests that need it: while
# the newest has it, `deploy.py rollback` refuses to go back across that change.
LOG_FORM = 2
