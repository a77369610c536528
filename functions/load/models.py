"""Decide for which batches the models of a target are run.

A model reads its tables as they are, so it is run for a batch only while none of them has a later
one: then its rows are those of that batch, also when an empty target gets all batches again. A
model whose table was lost, or that was declared later, is run once, for the batch of its tables.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from functions.common.manifests import ProcessedManifest


@dataclass
class Models:
    """The models of a target, and the batch up to which each `has` been run.

    `made_of` names the tables of each. Before the batch `settled` no model is run.
    """

    made_of: Mapping[str, Collection[str]]
    has: dict[str, int]
    settled: int

    def begin(self, tables: Mapping[str, int]) -> None:
        """Skip the batches that all tables of a model already have, except the last of them."""
        for name in self.made_of:
            self.has[name] = max(self.has[name], min(self._of(name, tables)) - 1)

    def due(
        self, manifest: ProcessedManifest, tables: Mapping[str, int], lacking: Collection[str]
    ) -> list[str]:
        """Return the models to run for a batch that some tables are `lacking`.

        `tables` are the batches that they have before it. A model that missed an earlier batch is
        run whatever the batch has.
        """
        return [
            name
            for name in self._open(manifest.batch, tables)
            if self.has[name] < max(self._of(name, tables))
            or any(manifest.brings(each) for each in self.made_of[name] if each in lacking)
        ]

    def done(self, batch: int, tables: Mapping[str, int], failed: Collection[str]) -> None:
        """Record the models that were run for a batch and did not fail.

        `tables` are the batches that these had before it.
        """
        for name in self._open(batch, tables):
            if name not in failed:
                self.has[name] = batch

    def lack(self, batch: int, names: Collection[str]) -> None:
        """Record that some models are to be run for a batch again."""
        for name in names:
            self.has[name] = min(self.has[name], batch - 1)

    def _open(self, batch: int, tables: Mapping[str, int]) -> list[str]:
        """Return the models that lack a batch and have no table with a later one."""
        return [
            name
            for name in self.made_of
            if self.has[name] < batch
            and batch >= self.settled
            and max(self._of(name, tables)) <= batch
        ]

    def _of(self, name: str, tables: Mapping[str, int]) -> list[int]:
        return [tables[each] for each in self.made_of[name]]
