"""The bill of materials of a package: what it holds and what it was made from, as CycloneDX 1.6 with a model card.

Everything is taken from the package itself, but for the names of data sets: a package knows only their fingerprint. A
parser that comes from the zoo is known by the digest of its weights; of others the data sets are named by the caller.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pqrnn.run_folder import WEIGHTS
from pqrnn.zoo.data_sets import DataSet, choose_data_sets, strictest_licence
from pqrnn.zoo.shelf import ZooEntry, list_parsers
from runtime_py.package_format.manifest import MANIFEST_NAME, Manifest
from runtime_py.package_format.package import Package, open_package

_SPDX = {"CC0 1.0": "CC0-1.0", "CC BY 3.0": "CC-BY-3.0", "CC BY 4.0": "CC-BY-4.0", "CC BY-SA 4.0": "CC-BY-SA-4.0"}
_SPDX |= {"Apache-2.0": "Apache-2.0"}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
_SPACE = uuid.UUID("6f0d3a1e-6f2c-5d6b-9a43-6d2f4d1c9b10")  # of serial numbers: equal packages have equal ones


def make_bom(path: str | Path, data_sets: Sequence[str] = (), licence: str = "") -> dict[str, Any]:
    """Return the bill of materials of a package, which is the same for the same package.

    Args:
        path: The package directory.
        data_sets: Short names of the data sets that it learned from; by default those of the zoo's parser that it is.
        licence: Licence of the weights; by default the strictest of the data sets.

    Raises:
        PackageError: There is no package, or it is damaged.
        ZooError: A data set is unknown.
    """
    package = open_package(path, verify=True)
    entry = _find_entry(package.manifest)
    names = tuple(data_sets) or (entry.data if entry is not None else ())
    sets = choose_data_sets(names) if names else {}
    licence = licence or (strictest_licence(list(sets.values())) if sets else "")
    model = _describe_model(package, entry, sets, licence)
    parts = [*_describe_data(package.manifest, sets), *_describe_files(package), *_describe_programs(package.manifest)]
    document: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_SPACE, package.manifest_sha256)}",
        "version": 1,
        "metadata": {
            "tools": {"components": [_program("pqrnn", package.manifest.producer.pqrnn)]},
            "component": model,
        },
        "components": parts,
        "dependencies": [{"ref": model["bom-ref"], "dependsOn": [part["bom-ref"] for part in parts]}],
    }
    if _TIME.match(package.manifest.created):
        document["metadata"]["timestamp"] = package.manifest.created
    return document


def _find_entry(manifest: Manifest) -> ZooEntry | None:
    """Return the zoo's parser that a package was compiled from."""
    if not manifest.model.checkpoint:
        return None
    for parser in list_parsers():
        weights = parser.entry.files.get(WEIGHTS)
        if weights is not None and weights.sha256 == manifest.model.checkpoint:
            return parser.entry
    return None


def _describe_model(
    package: Package, entry: ZooEntry | None, sets: Mapping[str, DataSet], licence: str
) -> dict[str, Any]:
    manifest = package.manifest
    model = manifest.model
    facts = {
        "parameters": str(model.parameters),
        "precision": model.described_precision,
        "revision of the training code": model.revision,
        "sha256 of the weights": model.checkpoint,
        "sha256 of the training data": model.data_fingerprint,
        "digest of the manifest": manifest.digest,
        "intents": str(len(manifest.labels.intents)),
        "tags": str(len(manifest.labels.tags)),
        "variants": ", ".join(variant.target for variant in manifest.variants),
        "native libraries": ", ".join(library.target for library in manifest.libraries),
    }
    metrics: list[dict[str, Any]] = [
        {"type": name, "value": f"{value:.6g}", "slice": "development split"}
        for name, value in sorted(model.metrics.items())
        if isinstance(value, int | float)
    ]
    if entry is not None:
        metrics += [
            {"type": figure.metric, "value": f"{figure.value:.6g}", "slice": "test split"}
            | (
                {"confidenceInterval": {"lowerBound": f"{figure.low:.6g}", "upperBound": f"{figure.high:.6g}"}}
                if figure.low is not None and figure.high is not None
                else {}
            )
            for figure in entry.figures
            if figure.work == entry.work
        ]
    references = [{"ref": f"data:{name}"} for name in sets] or ([{"ref": "data"}] if model.data_fingerprint else [])
    described: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": manifest.name,
        "version": (manifest.digest or package.manifest_sha256)[:16],
        "description": entry.summary if entry is not None else "UTF-8 bytes to an intent and its slots",
        "hashes": _hash(package.manifest_sha256),
        "modelCard": {
            "modelParameters": {
                "approach": {"type": "supervised"},
                "task": "intent and slots of an utterance",
                "architectureFamily": "quasi-recurrent network",
                "modelArchitecture": "pQRNN" if manifest.tokenizer is None else "transformer encoder",
                "datasets": references,
                "inputs": [{"format": "UTF-8 text"}],
                "outputs": [{"format": "intent"}, {"format": "slots, as labelled spans of the text"}],
            },
            "quantitativeAnalysis": {"performanceMetrics": metrics},
            "considerations": {
                "technicalLimitations": ["A parser knows the commands that it was trained on, and answers one of them."]
            },
            "properties": [{"name": name, "value": value} for name, value in facts.items() if value],
        },
    }
    return described | ({"licenses": _licence(licence)} if licence else {})


def _describe_data(manifest: Manifest, sets: Mapping[str, DataSet]) -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = []
    for name, data in sets.items():
        part: dict[str, Any] = {
            "type": "data",
            "bom-ref": f"data:{name}",
            "name": data.title,
            "description": data.about,
            "licenses": _licence(data.licence),
            "data": [{"type": "dataset", "name": name}],
        }
        if data.link:
            part["externalReferences"] = [{"type": "documentation", "url": data.link}]
        described.append(part)
    if not sets and manifest.model.data_fingerprint:
        about = f"not named; SHA-256 of the utterances {manifest.model.data_fingerprint}"
        described.append({"type": "data", "bom-ref": "data", "name": "training data", "description": about})
    return described


def _describe_files(package: Package) -> list[dict[str, Any]]:
    digests = {name: entry.sha256 for name, entry in sorted(package.manifest.files.items())}
    return [
        {"type": "file", "bom-ref": f"file:{name}", "name": name, "hashes": _hash(digest)}
        for name, digest in ({MANIFEST_NAME: package.manifest_sha256} | digests).items()
    ]


def _describe_programs(manifest: Manifest) -> list[dict[str, Any]]:
    made_by = manifest.producer
    versions = {
        "torch": made_by.torch,
        "iree-base-compiler": made_by.iree_compiler,
        "iree-turbine": made_by.iree_turbine,
        "iree-base-runtime": made_by.iree_compiler,  # the loader demands the compiler's version
    }
    return [_program(name, version) for name, version in versions.items()]


def _program(name: str, version: str) -> dict[str, Any]:
    return {
        "type": "application" if name == "pqrnn" else "library",
        "bom-ref": f"pkg:pypi/{name}@{version}",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name}@{version}",
    }


def _hash(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest}]


def _licence(name: str) -> list[dict[str, Any]]:
    return [{"license": {"id": _SPDX[name]} if name in _SPDX else {"name": name}}]
