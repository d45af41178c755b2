"""The report of a package: one HTML file that needs no network and no script."""
