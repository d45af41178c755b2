"""The package on disk: manifest, files, golden vectors."""
