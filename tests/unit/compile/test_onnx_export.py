"""ONNX as a way out: the text part bit for bit in ONNX Runtime, the file that the verb writes, and what is refused.

PyTorch takes most of a minute to write a whole parser, nearly all of it for the text part, so only one is written. The
text part is looked at inside of it, and the parser in 8 bits is written from its features on.
"""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from makers.int8 import make_int8
from makers.small import LABELS, TEXTS, make_model
from torch import Tensor, nn
from typer.testing import CliRunner

pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")

import onnx
import onnxruntime

from compile.lowering.buckets import make_buckets
from compile.onnx_export import INPUT, METADATA, compare_golden, export_onnx, open_onnx, write_onnx
from compile.support.errors import PlanError, VerificationError
from compile.verify.golden import TRICKY, make_golden
from compile.verify.reference import Oracle
from pqrnn.checkpoint import Facts, save_checkpoint
from pqrnn.cli.running import app
from pqrnn.features.projection import Projection
from pqrnn.features.utf8 import pack_texts
from pqrnn.model.parser import ParserModel

pytestmark = pytest.mark.slow

BUCKET = make_buckets([(8, 48)])[0]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "small"
    model = make_model(1)
    facts = Facts(
        config=model.config,
        labels=LABELS,
        data={},
        revision="0123abc",
        training={},
        metrics={},
        lengths=[(4, 16, 10), (8, 40, 20)],
        golden_texts=TEXTS,
    )
    save_checkpoint(folder, model, facts)
    return folder


@pytest.fixture(scope="module")
def written(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the verb writes."""
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    done = CliRunner().invoke(
        app, ["export", str(checkpoint), "--onnx", str(path), "--bucket", f"{BUCKET.words}:{BUCKET.bytes}", "--json"]
    )
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["bytes"] == path.stat().st_size
    assert document["texts"] > 20
    assert 0 < document["largest"] <= document["tolerance"]
    return path


def test_the_text_part_is_equal_bit_for_bit(written: Path, tmp_path: Path) -> None:
    model, config = onnx.load(written), make_model(1).config
    shapes = {value.name: tuple(value.dims) for value in model.graph.initializer}
    size = (config.features, config.bottleneck)  # of the matrix that features are multiplied by
    (features,) = (node.input[0] for node in model.graph.node if any(shapes.get(name) == size for name in node.input))
    model.graph.output.append(onnx.helper.make_tensor_value_info(features, onnx.TensorProto.FLOAT, None))
    onnx.save(model, tmp_path / "text.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "text.onnx", providers=["CPUExecutionProvider"])
    random.seed(5)
    letters = "abcXYZ 09.,!äßÉéश्रीกำไ明日🇩🇪👍🏽\u200d\u0301\x00"
    texts = [text[: BUCKET.bytes] for text in TRICKY]
    texts += ["".join(random.choices(letters, k=12)).encode()[: BUCKET.bytes] for _ in range(400)]
    texts += [bytes(random.choices(range(256), k=BUCKET.bytes)) for _ in range(200)]
    packed = pack_texts(texts, BUCKET.bytes)
    with torch.inference_mode():
        wanted = Projection(config.projection)(packed, BUCKET.words)
    found = session.run([features, "spans", "count"], {INPUT: packed.numpy()})
    for name, ours, theirs in zip(("features", "spans", "count"), wanted, found, strict=True):
        assert np.array_equal(ours.numpy(), theirs.reshape(ours.shape)), name
    assert np.unique(found[0]).tolist() == [-1, 0, 1]


def test_the_file_says_what_goes_in_and_comes_out(written: Path) -> None:
    model = onnx.load(written)
    onnx.checker.check_model(model, full_check=True)
    document = json.loads({prop.key: prop.value for prop in model.metadata_props}[METADATA])
    assert document["includes"] == "everything from UTF-8 bytes to logits"
    assert tuple(document["intents"]) == LABELS.intents
    assert tuple(document["tags"]) == LABELS.tags
    (text,) = model.graph.input
    assert [dimension.dim_param or dimension.dim_value for dimension in text.type.tensor_type.shape.dim] == [
        "batch",
        BUCKET.bytes // 4,
    ]
    assert [output.name for output in model.graph.output] == ["intent", "tags", "spans", "count"]


def test_one_text_and_many_give_the_same(written: Path) -> None:
    run = open_onnx(written)
    texts = [text.encode()[: BUCKET.bytes] for text in TEXTS]
    together = run(pack_texts(texts, BUCKET.bytes).numpy())
    for number, text in enumerate(texts):
        for many, one in zip(together, run(pack_texts([text], BUCKET.bytes).numpy()), strict=True):
            np.testing.assert_allclose(many[number], one[0], rtol=0, atol=1e-5)


def test_answers_that_are_not_pytorchs_are_refused(written: Path) -> None:
    run = open_onnx(written)
    golden = make_golden(Oracle(make_model(1).folded(), (BUCKET,)), [], (BUCKET,))
    vectors = golden.vectors
    assert compare_golden(run, vectors, golden.tolerance, BUCKET) <= golden.tolerance
    with pytest.raises(VerificationError, match="away from PyTorch"):
        compare_golden(run, dataclasses.replace(vectors, tags=vectors.tags + np.float32(1)), golden.tolerance, BUCKET)
    with pytest.raises(VerificationError, match="away from PyTorch"):
        compare_golden(
            run, dataclasses.replace(vectors, intent=np.full_like(vectors.intent, np.nan)), golden.tolerance, BUCKET
        )
    with pytest.raises(VerificationError, match="other words"):
        compare_golden(run, dataclasses.replace(vectors, spans=vectors.spans + 1), golden.tolerance, BUCKET)
    with pytest.raises(VerificationError, match="decides otherwise"):
        compare_golden(run, dataclasses.replace(vectors, intent=-vectors.intent), 1e9, BUCKET)


def test_a_file_that_is_there_stays(checkpoint: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.onnx"
    there.write_bytes(b"precious")
    with pytest.raises(PlanError, match="exists already"):
        export_onnx(checkpoint, there, bucket=BUCKET)
    with pytest.raises(PlanError, match="exists already"):
        export_onnx(checkpoint, tmp_path, bucket=BUCKET, replace=True)
    assert there.read_bytes() == b"precious"


class _Encoder(nn.Module):
    """All of a parser but its text part."""

    def __init__(self, model: ParserModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        encoding = self.model.encode(self.model.embed(features), mask, scan=True)
        return encoding.intent, encoding.tags


def test_a_parser_in_8_bits_is_computed_in_the_same_integers(tmp_path: Path) -> None:
    """Sums are equal exactly.

    What lies between two roundings differs by float32's own errors, which may turn an int8 by one.
    """
    model = make_int8(1).folded()
    packed = pack_texts([text.encode()[: BUCKET.bytes] for text in TEXTS], BUCKET.bytes)
    with torch.inference_mode():
        wanted = model(packed, BUCKET.words)
        features, _, count = model.projection(packed, BUCKET.words)
    mask = (torch.arange(BUCKET.words) < count[:, None]).float()[..., None]
    path = tmp_path / "int8.onnx"
    write_onnx(_Encoder(model), (features[:2], mask[:2]), path, ["features", "mask"], ["intent", "tags"], batch=True)
    assert "MatMulInteger" in {node.op_type for node in onnx.load(path).graph.node}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    intent, tags = session.run(["intent", "tags"], {"features": features.numpy(), "mask": mask.numpy()})
    spread = float(wanted.intent.std())
    assert np.abs(intent - wanted.intent.numpy()).max() < 0.02 * spread
    assert np.array_equal(intent.argmax(-1), wanted.intent.argmax(-1).numpy())
    for row, words in enumerate(count):
        assert np.abs(tags[row, :words] - wanted.tags[row, :words].numpy()).max(initial=0) < 0.02 * float(
            wanted.tags.std()
        )
