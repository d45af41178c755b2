"""Parts of the speed benchmarks that can be right or wrong without a clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from makers.small import CONFIG, make_model

from benchmarks import latency, samples
from benchmarks.cold_caches import last_level_bytes, make_emptier
from benchmarks.contenders import fastest
from benchmarks.growth import fit_exponent, join_texts
from benchmarks.interleaved import compare
from benchmarks.latency import time_cold, time_in_a_row, time_in_turn
from benchmarks.machine import Limits, measure_limits
from benchmarks.peers import all_peers, find_peer
from benchmarks.peers.encoder import Encoder, count_products, make_example, project_texts
from benchmarks.peers.peer import write_once
from benchmarks.peers.pytorch import Eager
from pqrnn.features.segmentation import segment_texts


def test_products_are_counted_as_by_hand() -> None:
    model = make_model(1).folded()
    width, gates = 2 * CONFIG.state, 2 * CONFIG.kernel * 3 * CONFIG.state
    tags, intents = model.tags.out_features, model.intent.out_features
    word = (
        CONFIG.projection.features * CONFIG.bottleneck + CONFIG.bottleneck * gates + (CONFIG.layers - 1) * width * gates
    )
    word += width + width * tags + width  # scores, tags, and what the attention sums up
    word += CONFIG.refinements * tags * 2 * tags
    text = 2 * width * intents + width * tags
    assert count_products(model, 7) == 7 * word + text


def test_peers_get_what_the_model_computes() -> None:
    model = make_model(1).folded()
    texts = [b"wake me at seven", b"play jazz", "réveille-moi".encode()]
    for text, features in zip(texts, project_texts(model, texts), strict=True):
        packed = torch.frombuffer(bytearray(text.ljust(32, b"\0")), dtype=torch.int32)[None]
        with torch.inference_mode():
            wanted = model(packed, 8)
            for scan in (False, True):
                intent, tags = Encoder(model, scan=scan)(torch.from_numpy(features))
                assert torch.allclose(intent, wanted.intent, atol=1e-4)
                assert torch.allclose(tags[0], wanted.tags[0, : features.shape[1]], atol=1e-4)


def test_a_peer_is_converted_once_and_answers(tmp_path: Path) -> None:
    model = make_model(1).folded()
    peer = Eager()
    assert peer.why_absent() == ""
    path = peer.convert(model, 5, "loop", tmp_path)
    written = path.stat().st_mtime_ns
    example = make_example(model, 5)
    answer = peer.open(path)(example.numpy())
    with torch.inference_mode():
        wanted = Encoder(model, scan=False)(example)
    assert all(np.allclose(ours, theirs.numpy(), atol=1e-5) for ours, theirs in zip(answer, wanted, strict=True))
    assert peer.convert(model, 5, "loop", tmp_path) == path
    assert path.stat().st_mtime_ns == written


def test_peers_have_names_of_their_own() -> None:
    names = [peer.name for peer in all_peers()]
    assert len(set(names)) == len(names)
    assert all(("int8" in peer.name) == (peer.precision == "int8") for peer in all_peers())
    assert find_peer("ONNX Runtime int8").precision == "int8"
    with pytest.raises(SystemExit, match="no peer 'TVM'"):
        find_peer("TVM")


def test_a_file_that_fails_halfway_is_not_kept(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        write_once(tmp_path / "graph", fail)
    assert not (tmp_path / "graph").exists()
    assert write_once(tmp_path / "graph", lambda path: path.write_bytes(b"whole")).read_bytes() == b"whole"


def test_every_call_is_timed_in_every_round_and_takes_turns() -> None:
    order: list[str] = []
    found = time_in_turn({name: lambda index, name=name: order.append(f"{name}{index}") for name in "abc"}, 2, 3)
    assert all(times.shape == (3, 2) and (times > 0).all() for times in found.values())
    turns = [order[index : index + 3] for index in range(len(order) - 18, len(order), 3)]
    assert [{each[1] for each in turn} for turn in turns] == [{"0"}, {"1"}] * 3
    assert all(sorted(each[0] for each in turn) == ["a", "b", "c"] for turn in turns)
    assert len({tuple(each[0] for each in turn) for turn in turns}) > 2  # nobody always comes after the same one


def test_in_a_row_each_answers_all_texts_before_the_next() -> None:
    order: list[str] = []
    found = time_in_a_row({name: lambda index, name=name: order.append(f"{name}{index}") for name in "abc"}, 3, 4)
    assert all(times.shape == (4, 3) and (times > 0).all() for times in found.values())
    turns = [order[index : index + 5] for index in range(0, len(order), 5)]
    assert all([each[1] for each in turn] == list("01012") for turn in turns)  # two that are not counted come first
    assert all(len({each[0] for each in turn}) == 1 for turn in turns)
    rounds = [tuple(turn[0][0] for turn in turns[index : index + 3]) for index in range(0, len(turns), 3)]
    assert all(sorted(each) == ["a", "b", "c"] for each in rounds)
    assert len(set(rounds)) > 1


def test_caches_are_emptied_before_every_cold_call(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(latency, "make_emptier", lambda: lambda: order.append("empty"))
    found = time_cold({name: lambda index, name=name: order.append(f"{name}{index}") for name in "ab"}, [3, 9], 2)
    assert all(times.shape == (2, 2) and (times > 0).all() for times in found.values())
    assert order[::2] == ["empty"] * 8
    assert sorted(order[1::2]) == sorted(["a3", "b3", "a9", "b9"] * 2)


def test_the_last_cache_is_the_largest_that_is_named(tmp_path: Path) -> None:
    for index, size in enumerate(("48K", "2048K", "300M")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(f"{size}\n")
    assert last_level_bytes(tmp_path) == 300 << 20
    assert last_level_bytes(tmp_path / "none") == 0
    make_emptier(1 << 20)()


def test_calls_are_compared_round_by_round() -> None:
    ratio, note = compare({"slow": [3e-6, 30e-6, 4e-6], "fast": [1e-6, 10e-6, 2e-6]}, "slow", "fast")
    assert ratio == 3.0
    assert note == "fast: 2 us, slow: 4 us"


def test_the_fastest_is_found() -> None:
    def slow(_: object) -> tuple[()]:
        sum(range(30_000))
        return ()

    assert fastest([slow, lambda _: (), slow], np.zeros((1, 1, 1), np.float32), rounds=15) == 1


def test_the_roofline_is_the_stricter_of_two_limits() -> None:
    limits = Limits(float32=1e9, int8=4e9, near=1e10, far=1e9)
    assert limits.compute(1_000_000, "f32") == pytest.approx(1e-3)
    assert limits.compute(1_000_000, "int8") == pytest.approx(0.25e-3)
    assert limits.read(10_000_000) == pytest.approx(1e-3)


@pytest.mark.slow
def test_limits_of_this_machine_can_be_measured() -> None:
    found = measure_limits(1 << 20)
    assert 1e8 < found.float32 < 1e13
    assert 1e8 < found.int8 < 1e14
    assert found.far > 1e8
    assert found.near > 1e8


def test_samples_are_kept_to_ten_nanoseconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "FOLDER", tmp_path)
    times = {"ours, bytes to logits": np.array([[1.5e-4, 2e-4]]), "ONNX Runtime": np.array([[3.25e-4, 1.0]])}
    samples.keep_samples("latency-some", times, np.array([4, 12]))
    found, counts = samples.load_samples("latency-some")
    assert counts.tolist() == [4, 12]
    assert all(np.allclose(found[name], times[name], atol=1e-8) for name in times)


def test_exponents_are_those_of_powers() -> None:
    sizes = np.array([1.0, 2, 4, 8, 16])
    assert fit_exponent(sizes, 3 * sizes**1.5) == pytest.approx(1.5)
    assert fit_exponent(sizes, np.full(5, 7.0)) == pytest.approx(0.0)


def test_joined_texts_have_exactly_the_words() -> None:
    model = make_model(1)
    texts = [b"wake me at seven", b"", b"play some jazz"]
    for words in (1, 4, 5, 7):
        joined = join_texts(model, texts, words, 64)
        assert len(segment_texts(model.projection, [joined])[0]) == words
        assert len(joined) <= 64
    with pytest.raises(SystemExit, match="no 9 words"):
        join_texts(model, texts, 9, 64)
