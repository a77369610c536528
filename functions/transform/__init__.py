"""The function `transform`: remodels batches of source tables into batches of star tables."""
