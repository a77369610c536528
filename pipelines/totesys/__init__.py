"""The live database of a shop, remodelled into three stars."""
