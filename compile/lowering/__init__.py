"""From a model to compiled code: export, import, IREE."""
