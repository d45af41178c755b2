"""The bill of materials: whole, the same for the same package, and valid where the schema is at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from makers.runtime_fakes import fake_manifest, write_fake
from typer.testing import CliRunner

import pqrnn.cli.verbs  # noqa: F401 - they register themselves
from pqrnn.bom import make_bom
from pqrnn.cli.app import app
from pqrnn.errors import ZooError
from pqrnn.zoo.shelf import find_parser
from runtime_py.errors import PackageError
from runtime_py.package_format.package import open_package


def _package(folder: Path, **facts: object) -> Path:
    manifest = fake_manifest()
    model = msgspec.structs.replace(manifest.model, **facts)
    write_fake(folder / "home.pqrnn", msgspec.structs.replace(manifest, model=model))
    return folder / "home.pqrnn"


@pytest.fixture
def zoo_package(tmp_path: Path) -> Path:
    weights = find_parser("mtop-en").entry.files["model.safetensors"].sha256
    return _package(tmp_path, checkpoint=weights, data_fingerprint="a" * 64, metrics={"exact_match": 0.5, "by": {}})


def _references(document: Any) -> list[str]:
    if isinstance(document, dict):
        own = [document["bom-ref"]] if "bom-ref" in document else []
        return own + [each for value in document.values() for each in _references(value)]
    return [each for value in document for each in _references(value)] if isinstance(document, list) else []


def test_a_parser_of_the_zoo_names_its_data_and_licences(zoo_package: Path) -> None:
    bom = make_bom(zoo_package)
    model = bom["metadata"]["component"]
    assert (bom["bomFormat"], bom["specVersion"], model["type"]) == ("CycloneDX", "1.6", "machine-learning-model")
    assert model["licenses"] == [{"license": {"id": "CC-BY-SA-4.0"}}]
    data = {part["bom-ref"]: part for part in bom["components"] if part["type"] == "data"}
    assert [each["ref"] for each in model["modelCard"]["modelParameters"]["datasets"]] == list(data)
    assert set(data) == {"data:mtop", "data:facebook_multilingual", "data:massive", "data:snips"}
    assert data["data:snips"]["licenses"] == [{"license": {"id": "CC0-1.0"}}]
    metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert {"type": "exact_match", "value": "0.5", "slice": "development split"} in metrics
    assert any(each["slice"] == "test split" and "confidenceInterval" in each for each in metrics)


def test_every_file_and_version_is_in_it(zoo_package: Path) -> None:
    bom, package = make_bom(zoo_package), open_package(zoo_package)
    files = {part["name"]: part["hashes"][0]["content"] for part in bom["components"] if part["type"] == "file"}
    assert files == {"manifest.json": package.manifest_sha256} | {
        name: entry.sha256 for name, entry in package.manifest.files.items()
    }
    programs = {part["name"]: part["version"] for part in bom["components"] if part["type"] == "library"}
    assert programs["torch"] == "2.13.0" and programs["iree-base-runtime"] == "3.13.0"
    references = _references(bom)
    assert len(set(references)) == len(references)
    (needs,) = bom["dependencies"]
    assert set(needs["dependsOn"]) | {"model"} < set(references)


def test_equal_packages_have_equal_bills(zoo_package: Path, tmp_path: Path) -> None:
    assert make_bom(zoo_package) == make_bom(zoo_package)
    other = make_bom(_package(tmp_path / "other"))
    assert other["serialNumber"] != make_bom(zoo_package)["serialNumber"]


def test_data_sets_are_named_or_left_open(tmp_path: Path) -> None:
    package = _package(tmp_path, data_fingerprint="b" * 64)
    (data,) = [part for part in make_bom(package)["components"] if part["type"] == "data"]
    assert "b" * 64 in data["description"]
    bom = make_bom(package, ["home", "mtop"], "Ours, all rights reserved")
    assert bom["metadata"]["component"]["licenses"] == [{"license": {"name": "Ours, all rights reserved"}}]
    with pytest.raises(ZooError, match="is no data set"):
        make_bom(package, ["nothing"])
    (package / "golden" / "golden.npz").write_bytes(b"x")
    with pytest.raises(PackageError):
        make_bom(package)


def test_the_command_writes_it(zoo_package: Path, tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["bom", str(zoo_package)])
    assert json.loads(shown.stdout) == make_bom(zoo_package)
    done = CliRunner().invoke(app, ["bom", str(zoo_package), "--out", str(tmp_path / "a" / "home.cdx.json")])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "a" / "home.cdx.json").read_bytes()) == make_bom(zoo_package)


def test_the_schema_of_cyclonedx_is_met(zoo_package: Path, tmp_path: Path) -> None:
    pytest.importorskip("cyclonedx", reason="pip install 'cyclonedx-python-lib[json-validation]'")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    validator = JsonStrictValidator(SchemaVersion.V1_6)
    plain = _package(tmp_path / "plain")
    for bom in (make_bom(zoo_package), make_bom(plain), make_bom(plain, ["home"], "Ours")):
        assert validator.validate_str(json.dumps(bom)) is None
    assert validator.validate_str(json.dumps(make_bom(plain) | {"components": [{"type": "nothing"}]})) is not None
