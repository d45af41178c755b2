"""Words to subwords on the device: as the teacher's own table cuts them, and what is wrong is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from makers.encoder import write_encoder
from makers.runtime_fakes import fake_manifest, fake_variant, manifest_bytes, write_fake
from oracles.effort import examples

from pqrnn.distillation.subwords import WordTokens
from pqrnn.distillation.teacher import TeacherModel
from pqrnn.recipes.settings import TeacherConfig
from runtime_py.errors import PackageError, SchemaError
from runtime_py.execute import subwords
from runtime_py.execute.subwords import Subwords
from runtime_py.package_format.manifest import Tokenizer

MADE: list[Any] = []


@pytest.fixture(scope="module", autouse=True)
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_encoder(tmp_path_factory.mktemp("encoder"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    table = WordTokens(tokenizer)
    description = Tokenizer("tokenizer.json", table.unknown, table.padding, table.first[0], table.last[0])
    content = tokenizer.backend_tokenizer.to_str().encode()
    MADE[:] = [table, Subwords(content, description, "here"), content, description]
    return folder


WORDS = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).map(str.encode), max_size=12)


@examples(60)
@given(WORDS, st.integers(4, 40))
def test_cuts_and_joins_as_in_training(words: list[bytes], limit: int) -> None:
    """Also where not all subwords fit, and where words are in no script that the encoder knows."""
    table, device, _, _ = MADE
    batch = table.collate([table.index(words)], limit)
    tokens, starts, needed = device.join(words, limit)
    assert tokens == batch.tokens[0].tolist()
    assert starts == batch.starts[0, : len(words)].tolist()
    assert needed == table.collate([table.index(words)], 10_000).tokens.shape[1]


def test_words_are_cut_once_and_memory_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subwords, "_KNOWN", 3)
    _, _, content, description = MADE
    device = Subwords(content, description, "here")
    wanted = device.join([b"the"], 99)
    for number in range(20):
        device.join([b"abc%d" % number], 99)
        assert len(device._known) <= 3
    assert device.join([b"the"], 99) == wanted


def test_a_file_that_is_none_is_named() -> None:
    for content in (b"", b"{}", b"\xff", b"not json"):
        with pytest.raises(PackageError, match=r"here: the installed tokenizers cannot read it"):
            Subwords(content, MADE[3], "here")


def test_tags_of_subwords_are_those_of_words(encoder: Path) -> None:
    """What is compiled against what is trained, on a batch with padding."""
    torch.manual_seed(0)
    teacher = TeacherModel(TeacherConfig(encoder=str(encoder)), 3, 4).eval()
    table = teacher.make_table()
    rows = [table.index(text) for text in ([b"the", b"bathroom", b"lights"], [b"on"])]
    batch = table.collate(rows, 40)
    with torch.inference_mode():
        intent, tags = teacher.encode_tokens(batch.tokens, batch.attention)
        words = torch.tensor([rows[0], [*rows[1], 0, 0]])
        mask = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])[..., None]
        encoding = teacher.encode_words(table, words, mask)
    torch.testing.assert_close(intent, encoding.intent)
    for row, text in enumerate(rows):
        torch.testing.assert_close(tags[row, batch.starts[row, : len(text)]], encoding.tags[row, : len(text)])


def test_a_bundle_for_boards_is_refused(tmp_path: Path) -> None:
    from compile.packaging.bundle import deploy
    from compile.support.errors import DeployError
    from runtime_py.package_format.package import open_package

    plain = write_fake(tmp_path / "a.pqrnn")
    document = json.loads((tmp_path / "a.pqrnn" / "manifest.json").read_text())
    document["tokenizer"] = {"path": plain.golden.path, "unknown": 1, "padding": 0}
    (tmp_path / "a.pqrnn" / "manifest.json").write_bytes(manifest_bytes(document))
    assert open_package(tmp_path / "a.pqrnn").manifest.tokenizer is not None
    with pytest.raises(DeployError, match="install pqrnn-runtime and tokenizers there"):
        deploy(tmp_path / "a.pqrnn", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_manifest_lists_its_tokenizer_and_has_no_functions_for_several_texts(tmp_path: Path) -> None:
    import msgspec

    manifest = msgspec.structs.replace(fake_manifest(fake_variant()), tokenizer=Tokenizer("tokenizer.json", 1, 0, 2, 3))
    with pytest.raises(SchemaError, match=r"refers to 'tokenizer.json', which is not listed"):
        write_fake(tmp_path / "a.pqrnn", manifest)
    plain = write_fake(tmp_path / "b.pqrnn")
    assert plain.tokenizer is None
    document = json.loads((tmp_path / "b.pqrnn" / "manifest.json").read_text())
    document |= {"tokenizer": {"path": plain.golden.path, "unknown": 1, "padding": 0}, "batch": 2}
    from runtime_py.package_format.manifest_codec import decode_manifest

    with pytest.raises(SchemaError, match="several texts at once"):
        decode_manifest(manifest_bytes(document))
    document["batch"] = 1
    read = decode_manifest(manifest_bytes(document)).tokenizer
    assert read == Tokenizer(plain.golden.path, 1, 0)
    document["tokenizer"]["kind"] = "x"
    with pytest.raises(SchemaError, match="kind"):
        decode_manifest(manifest_bytes(document))
