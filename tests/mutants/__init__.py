"""Mutation testing of the modules that decide about rows, rights and removal: `make mutants`.

A mutant is the code with one small defect: `<` for `<=`, a condition or a right left out. Tests
that pass nevertheless promise less than they seem to. A survivor is killed by a better test or,
where it makes no difference that a promise covers, explained in `survivors.toml`.
"""
