"""A document of a report, about a package that nobody compiled."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from compile.report.document import Document, Point, distribution, find_confusions, find_slot_errors
from compile.report.sensitivity import LayerNoise
from compile.target_bench.figures import EntryFigures, TargetFigures
from makers.references import DIGEST, LABELS, PLAY, TIMES, make_answers, make_fake_reference
from makers.runtime_fakes import fake_manifest, fake_parity, fake_variant, write_fake
from runtime_py.package_format.certificates import certify_replay
from runtime_py.package_format.package import open_package, write_manifest
from runtime_py.parity.check import judge_answers
from runtime_py.parity.metrics import Frame
from runtime_py.tools.check import CheckResult
from runtime_py.tools.inspect import inspect_package

EVIL = "<script>alert('x')</script> & \u202e\x1b[31m"


def make_document(tmp_path: Path, teacher: bool = True, parity: bool = True) -> Document:
    """Return a document with everything, about names that nobody should believe."""
    variants = [fake_variant("host"), fake_variant("linux-riscv64", triple="riscv64-unknown-linux-gnu")]
    manifest = fake_manifest(*variants)
    model = msgspec.structs.replace(manifest.model, checkpoint=DIGEST)
    manifest = write_fake(
        tmp_path / "a.pqrnn", msgspec.structs.replace(manifest, model=model, labels=LABELS, name=EVIL)
    )
    passed = msgspec.structs.replace(
        fake_parity(True),
        texts=2,
        machine="A board <1>",
        runtime="iree 3.13.0, local-sync",
        checked="2026-01-02T00:00:00Z",
    )
    certificate = certify_replay(manifest, manifest.variants[0], passed, architecture="x86_64", made_by="build")
    certificate = msgspec.structs.replace(certificate, figures=certificate.figures | {"retention": 0.97})
    certified = msgspec.structs.replace(manifest.variants[0], certificates=[certificate])
    write_manifest(tmp_path / "a.pqrnn", msgspec.structs.replace(manifest, variants=[certified, manifest.variants[1]]))
    open_package(tmp_path / "a.pqrnn")
    gold: list[Frame] = [TIMES, PLAY, ("weather", ())] * 20
    mine: list[Frame] = [TIMES, PLAY, PLAY] * 20
    mine[0] = ("alarm", ())
    reference = make_fake_reference(
        gold, mine, [TIMES, TIMES, PLAY] * 20 if teacher else None, locales=("en", "de"), data=EVIL
    )
    report, frames = judge_answers(manifest, reference, "home.reference", make_answers(mine))
    times = np.random.default_rng(0).lognormal(11, 0.2, 500).astype(np.int64)
    points = [Point("package", 2_000_000, 0.83, 59.0), Point("teacher", 90_000_000, 0.85, None)]
    entry = EntryFigures("parse_8", 8, 64, "a", 5, [59.0, 58.0, 60.5], None, None, 1)
    emulated = EntryFigures("parse_8", 8, 64, "a", 5, [], 123_456, 130_000, 1)
    return Document(
        created="2026-01-01T00:00:00Z",
        package=inspect_package(tmp_path / "a.pqrnn"),
        golden=CheckResult("a.pqrnn", "host", "a test", passed, []),
        parity=report if parity else None,
        points=points if parity else [],
        confusions=find_confusions(gold, frames) if parity else [],
        slots=find_slot_errors(gold, frames) if parity else [],
        latency=[distribution(part, times) for part in ("text to parse", "compiled function")] if parity else [],
        targets=[
            TargetFigures("host", "this machine", False, [], 10, 5, 3, 2, [entry], {}),
            TargetFigures("linux-riscv64", "QEMU", True, [], 11, 6, 3, 2, [emulated], {}),
        ]
        if parity
        else [],
        noise=[LayerNoise("layers.0.product", 38.25, 0.001, 1000), LayerNoise("tags", 30.5, 0.0, 10)] if parity else [],
        environment={"machine": "A board <1>"},
        notes=["No reference file was given."] if not parity else [],
    )
