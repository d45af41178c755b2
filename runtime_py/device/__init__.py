"""The machine, and the variant of a package that it can run."""
