"""Budgets of a package: which part serves one, what a part sees of a package, and manifests that make no sense."""

from __future__ import annotations

import msgspec
import pytest
from makers.runtime_fakes import fake_manifest, fake_variant

from runtime_py.errors import BudgetMissingError, SchemaError
from runtime_py.package_format.budgets import choose_budget, manifest_of_part
from runtime_py.package_format.file_entry import FileEntry
from runtime_py.package_format.manifest import Budget, Golden, Manifest
from runtime_py.package_format.manifest_codec import decode_manifest, encode_manifest

FILES = ("golden/golden.npz", "golden/part300.npz", "golden/part600.npz", "variants/host/module.vmfb")


def make_budget(share: float, exact_match: float, **changes: object) -> Budget:
    name = f"part{round(1000 * share)}"
    golden = Golden(path=f"golden/{name}.npz", texts=2, words=3, tolerance=1e-5)
    fields = {"name": name, "macs": round(1e6 * share), "share": share, "exact_match": exact_match, "kept": [60, 30]}
    return Budget(**(fields | {"golden": golden} | changes))  # type: ignore[arg-type]


WHOLE = make_budget(1.0, 0.85, name="whole", golden=None, kept=[100, 100])
BUDGETS = [make_budget(0.3, 0.7), make_budget(0.6, 0.9), WHOLE]


def make_manifest(budgets: list[Budget]) -> Manifest:
    files = {name: FileEntry(sha256="0" * 64, bytes=1) for name in FILES}
    return msgspec.structs.replace(fake_manifest(fake_variant()), budgets=budgets, files=files)


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (0.3, "part300"),
        (0.59, "part300"),
        (0.6, "part600"),
        (1.0, "part600"),  # the most accurate, not the largest
        (1, "part600"),
        (300_000, "part300"),
        (599_999.5, "part300"),
        (10**9, "part600"),
        ("whole", "whole"),
        ("part300", "part300"),
    ],
)
def test_the_most_accurate_part_within_a_budget_serves_it(wanted: float | str, name: str) -> None:
    assert choose_budget(BUDGETS, wanted).name == name


def test_of_equally_accurate_parts_the_cheaper_one_serves() -> None:
    budgets = [make_budget(0.3, 0.9), make_budget(0.6, 0.9), WHOLE]
    assert choose_budget(budgets, 1.0).name == "part300"


def test_what_there_is_is_said_where_nothing_serves() -> None:
    with pytest.raises(BudgetMissingError, match=r"home.pqrnn: no part .* 29% .* part300 \(30%, 300,000 MACs\)"):
        choose_budget(BUDGETS, 0.29, "home.pqrnn")
    with pytest.raises(BudgetMissingError, match="at most 299,999 MACs"):
        choose_budget(BUDGETS, 299_999)
    with pytest.raises(BudgetMissingError, match=r"no budget 'part900'.*whole \(100%"):
        choose_budget(BUDGETS, "part900")
    with pytest.raises(BudgetMissingError, match=r"has no budgets.*pqrnn budget"):
        choose_budget([], 0.5)
    for wrong in (0, -0.5, float("nan")):
        with pytest.raises(ValueError, match="expected a share"):
            choose_budget(BUDGETS, wrong)


def test_a_part_sees_its_own_functions_and_vectors_and_the_whole_network_everything() -> None:
    manifest = make_manifest(BUDGETS)
    seen = manifest_of_part(manifest, BUDGETS[0])
    assert [bucket.entry for bucket in seen.buckets] == ["parse_8_part300", "parse_16_part300"]
    assert [(bucket.words, bucket.bytes) for bucket in seen.buckets] == [(8, 64), (16, 128)]
    assert seen.golden == BUDGETS[0].golden
    assert seen.labels == manifest.labels
    assert manifest_of_part(manifest, WHOLE) is manifest


def test_a_manifest_with_budgets_is_read_back() -> None:
    found = decode_manifest(encode_manifest(make_manifest(BUDGETS)))
    assert found.budgets == BUDGETS
    assert found.schema == "1.8"


@pytest.mark.parametrize(
    ("budgets", "said"),
    [
        ([BUDGETS[1], BUDGETS[0], WHOLE], "grow in MACs"),
        ([BUDGETS[0], BUDGETS[0], WHOLE], "'part300' appears twice"),
        (BUDGETS[:2], "last budget is the whole network"),
        ([msgspec.structs.replace(BUDGETS[0], golden=None), WHOLE], "golden vectors of its own"),
        ([make_budget(0.4, 0.5), WHOLE], "golden/part400.npz.*not listed"),
    ],
)
def test_budgets_without_a_meaning_are_refused(budgets: list[Budget], said: str) -> None:
    with pytest.raises(SchemaError, match=said):
        encode_manifest(make_manifest(budgets))


def test_functions_of_parts_may_not_be_those_of_buckets() -> None:
    manifest = make_manifest(BUDGETS)
    taken = msgspec.structs.replace(manifest.buckets[1], entry="parse_8_part300")
    with pytest.raises(SchemaError, match="'parse_8_part300' appears twice"):
        encode_manifest(msgspec.structs.replace(manifest, buckets=[manifest.buckets[0], taken]))
