"""All fuzz targets, by the name of what they try."""

from tests.fuzz import databases, documents, rows, webhooks

TARGETS = {
    target.name: target
    for target in (*rows.TARGETS, *documents.TARGETS, *databases.TARGETS, *webhooks.TARGETS)
}
