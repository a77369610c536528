"""Outside auditors, and the findings that docs/audit.md explains: `make audit`."""
