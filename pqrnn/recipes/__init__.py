"""Recipes: what decides the result of a command, in structs, TOML files and options with one set of defaults."""
