"""A small package on disk without compiled code, for tests of everything that happens before code is loaded."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from runtime_py.decode.labels import Labels
from runtime_py.package_format.golden import GoldenVectors, join_golden, save_golden
from runtime_py.package_format.manifest import Bucket, Golden, Manifest, Model, NativeLibrary, Producer, Variant
from runtime_py.package_format.manifest_codec import digest_manifest
from runtime_py.package_format.package import seal
from runtime_py.package_format.proofs import Parity

INTENTS = ["alarm", "music"]
TAGS = ["O", "B-time", "I-time"]


def fake_variant(target: str = "host", **changes: object) -> Variant:
    """A variant for x86-64 with AVX2."""
    fields: dict[str, object] = {
        "target": target,
        "device": "local-sync",
        "triple": "x86_64-unknown-linux-gnu",
        "cpu": "x86-64-v3",
        "features": ["avx2", "fma"],
        "path": f"variants/{target}/module.vmfb",
        "flags": ["--iree-llvmcpu-target-cpu=x86-64-v3"],
        "compile_seconds": 1.5,
        "parity": None,
        "unverified_reason": "not run",
    }
    return Variant(**(fields | changes))  # type: ignore[arg-type]


def fake_library(target: str = "host", **changes: object) -> NativeLibrary:
    """A library for x86-64 with AVX2 that has passed its check."""
    fields: dict[str, object] = {
        "target": target,
        "triple": "x86_64-unknown-linux-gnu",
        "features": ["avx2", "fma"],
        "path": f"native/{target}/libfake.so",
        "prefix": "fake",
        "memory": 1000,
        "weights": 2000,
        "parity": fake_parity(True),
    }
    return NativeLibrary(**(fields | changes))  # type: ignore[arg-type]


def fake_parity(passed: bool) -> Parity:
    """The outcome of a check."""
    zeros = dict.fromkeys(
        (
            "tag_flips",
            "count_mismatches",
            "span_mismatches",
            "not_finite",
            "all_zero",
            "not_deterministic",
            "texts",
            "words",
        ),
        0,
    )
    return Parity(
        passed=passed,
        repeats=1,
        tolerance=1.0,
        intent_max_abs=0.0,
        tags_max_abs=0.0,
        intent_flips=0 if passed else 3,
        machine="",
        runtime="",
        checked="",
        failures=[] if passed else ["3 intent flips"],
        **zeros,  # type: ignore[arg-type]
    )


def fake_manifest(*variants: Variant) -> Manifest:
    """A manifest without files."""
    return Manifest(
        name="fake",
        created="2026-01-01T00:00:00Z",
        producer=Producer(pqrnn="0.1.0", iree_compiler="3.13.0", iree_turbine="3.9.0", torch="2.13.0"),
        model=Model(parameters=10, precision="float32", config={"layers": 2}),
        labels=Labels(intents=tuple(INTENTS), tags=tuple(TAGS)),
        buckets=[Bucket(words=8, bytes=64, entry="parse_8"), Bucket(words=16, bytes=128, entry="parse_16")],
        variants=list(variants) or [fake_variant()],
        golden=Golden(path="golden/golden.npz", texts=2, words=3, tolerance=1e-5),
        files={},
    )


def fake_golden() -> GoldenVectors:
    """Two texts of two words and one."""
    rows = np.eye(3, dtype=np.float32)
    return join_golden(
        [b"at seven", "é".encode()],
        [np.array([1, 0], np.float32), np.array([0, 2], np.float32)],
        [rows[[0, 1]], rows[[0]]],
        [np.array([[0, 2], [3, 8]], np.int32), np.array([[0, 2]], np.int32)],
    )


def write_fake(directory: Path, manifest: Manifest | None = None) -> Manifest:
    """Fill a directory and seal it."""
    manifest = manifest or fake_manifest()
    (directory / "golden").mkdir(parents=True)
    save_golden(directory / "golden" / "golden.npz", fake_golden())
    for variant in (*manifest.variants, *manifest.libraries):
        path = directory / variant.path
        path.parent.mkdir(parents=True)
        path.write_bytes(b"no code " * 100 + variant.target.encode())
    return seal(directory, manifest)


def manifest_bytes(document: dict[str, Any]) -> bytes:
    """A manifest that was changed by hand, with the digest of what it says now."""
    data = json.dumps({"digest": "0" * 64} | document | {"digest": "0" * 64}).encode()
    return data.replace(b"0" * 64, digest_manifest(data, "0" * 64).encode(), 1)
