"""Updates of packages by what changed: made where packages are made, applied where they run."""
