"""From a checkpoint to a package: export, import, compile, verify, package.

Each stage is a module of its own and raises its own error (`compile.support.errors`); `compile.pipeline` runs them in
order. Importing this package is cheap: PyTorch and the importer are loaded when a stage runs.
"""
