"""A snapshot that replaces files, with as few manifests as one that only adds some.

pyiceberg's own overwrite never merges manifests, and carries those that name nothing but files that
an earlier snapshot has deleted on from one snapshot to the next: one more with each commit.
"""

from typing import Any

from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Transaction
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _ManifestMergeManager, _OverwriteFiles

MERGED_AT = 20  # manifests; as `commit.manifest.min-count-to-merge` says for additions
MERGED_BYTES = 8 << 20


class Overwrite(_OverwriteFiles):
    """An overwrite that drops manifests without live files, and merges the others."""

    @classmethod
    def of(cls, transaction: Transaction, io: Any, summary: dict[str, str]) -> "Overwrite":
        """Return an overwrite that is made in a transaction."""
        return cls(
            operation=Operation.OVERWRITE,
            transaction=transaction,
            io=io,
            snapshot_properties=summary,
        )

    def _existing_manifests(self) -> list[ManifestFile]:
        return [
            each
            for each in super()._existing_manifests()
            if each.has_added_files() or each.has_existing_files()
        ]

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        manager = _ManifestMergeManager(
            target_size_bytes=MERGED_BYTES,
            min_count_to_merge=MERGED_AT,
            merge_enabled=True,
            snapshot_producer=self,
        )
        merged: list[ManifestFile] = manager.merge_manifests(manifests)
        return merged
