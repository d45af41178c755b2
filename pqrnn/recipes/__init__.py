"""Recipes: everything that decides what a command makes, in structs, TOML files and options with one set of defaults."""
