"""The parser on compiled code.

Right numbers in every bucket, bounded input, threads, and refusals before code is loaded.
"""

import gc
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers.threads import list_threads, threads_that_stay
from tiny_package import BUCKETS, TAGS, TEXTS, oracle, write_package

from runtime_py import Parser
from runtime_py.decode.answers import Parse, encode_text
from runtime_py.decode.decoder import cut_text
from runtime_py.errors import (
    DeviceError,
    DigestError,
    InputTooLongError,
    PackageError,
    ParserClosedError,
    RuntimeMismatchError,
    UnsupportedTargetError,
)
from runtime_py.execute.logits import Logits
from runtime_py.execute.session import Session, open_device
from runtime_py.package_format.manifest import Manifest
from runtime_py.package_format.package import open_package, seal
from runtime_py.tools.memory import resident_bytes

pytestmark = pytest.mark.compiled
LARGEST = BUCKETS[-1]


@pytest.fixture(scope="module")
def parser(tiny_path: Path) -> Iterator[Parser]:
    with Parser.load(tiny_path) as loaded:
        yield loaded


def assert_right(logits: Logits, raw: bytes) -> None:
    intent, tags, spans, count = oracle(raw, LARGEST.words)
    np.testing.assert_array_equal(logits.intent, intent)
    np.testing.assert_array_equal(logits.tags, tags)
    np.testing.assert_array_equal(logits.spans, spans)
    assert len(logits.tags) == count


def test_every_entry_gives_the_numbers_of_the_oracle(tiny_path: Path) -> None:
    package = open_package(tiny_path)
    session = Session(package.read_file("variants/generic/module.vmfb"), package.manifest.buckets, 5, len(TAGS))
    for entry in session.entries:
        for raw in (text for text in TEXTS if len(text) <= entry.bytes):
            outputs = entry.run(raw)
            intent, tags, spans, count = oracle(raw, entry.words)
            assert outputs.count == count
            np.testing.assert_array_equal(outputs.intent, intent)
            np.testing.assert_array_equal(outputs.tags[:count], tags)
            np.testing.assert_array_equal(outputs.spans[:count], spans)


short_bytes = st.binary(max_size=LARGEST.bytes).filter(lambda raw: oracle(raw, 1)[3] <= LARGEST.words)


@settings(max_examples=300, deadline=None)
@given(raw=short_bytes)
def test_any_bytes_give_the_numbers_of_the_oracle(parser: Parser, raw: bytes) -> None:
    assert_right(parser.logits(raw), raw)


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(codec=None, exclude_categories=()), max_size=16))
def test_slots_are_cut_out_of_any_string(parser: Parser, text: str) -> None:
    parse = parser(text)
    shown, raw = encode_text(text)
    assert parse.text == shown
    assert len(shown) == len(text)
    for slot in parse.slots:
        assert slot.text == shown[slot.start : slot.end] != ""
    _, tags, spans, _ = oracle(raw, LARGEST.words)
    if not (shown.encode() == raw and tags.any()):
        return
    # The same slots by another way: words as byte ranges, cut and decoded one by one.
    chosen = [TAGS[i] for i in tags.argmax(axis=1)]
    if any(tag[0] == "I" and before[2:] != tag[2:] for before, tag in pairwise(["O", *chosen])):
        return  # slots without a beginning are searched anew: tests of frames
    begun = [i for i, tag in enumerate(chosen) if tag[0] == "B"]
    assert [slot.label for slot in parse.slots] == [chosen[i][2:] for i in begun]
    assert [raw[: spans[i][0]].decode() for i in begun] == [shown[: slot.start] for slot in parse.slots]


def test_strings_and_their_bytes_parse_alike(parser: Parser) -> None:
    for text in ("réveille-moi à 7h", "ascii only", "", "😀 ok"):
        assert parser(text) == parser(text.encode()) == parser(bytearray(text.encode()))


def test_an_empty_text_has_an_intent_and_no_slots(parser: Parser) -> None:
    for text in ("", " ", "\x00", b"", b"\x00 \x00"):
        parse = parser(text)
        assert (parse.slots, parse.words, parse.truncated) == ((), 0, False)
        assert parse.intent in parser.manifest.labels.intents


def test_zero_bytes_separate_words(parser: Parser) -> None:
    logits = parser.logits(b"one\x00two\x00\x00three")
    assert logits.spans.tolist() == [[0, 3], [4, 7], [9, 14]]


def test_a_long_text_leaves_nothing_for_the_next_one(parser: Parser) -> None:
    parser("x" * LARGEST.bytes)
    for text in (b"one two three four five six seven", b"a b"):
        parser(text + b" z")
        assert_right(parser.logits(text), text)


def test_the_smallest_bucket_that_fits_is_used(parser: Parser) -> None:
    assert parser.logits("a b c d").bucket == 4
    assert parser.logits("a b c d e").bucket == 8
    assert parser.logits("x" * 33).bucket == 8
    assert parser.logits(" ".join("abcdefghi")).bucket == 16


def test_too_low_a_guess_costs_a_second_run_and_nothing_else(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"a b c d e f g h i j k l m n o p"
    expected = parser.logits(text)
    monkeypatch.setattr("runtime_py.execute.bucket_runner.guess_words", lambda shown, raw: 0)
    got = parser.logits(text)
    assert_right(got, text)
    assert got.bucket == expected.bucket == 16
    assert parser.needs_rerun(text)
    assert not parser.needs_rerun(b"a b")


def test_too_high_a_guess_changes_no_number(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime_py.execute.bucket_runner.guess_words", lambda shown, raw: 1000)
    assert_right(parser.logits(b"a b"), b"a b")


def test_results_outlive_later_calls_and_the_parser(tiny_path: Path) -> None:
    parser = Parser.load(tiny_path)
    kept = [parser.logits(text) for text in TEXTS]
    copies = [(logits.intent.copy(), logits.tags.copy(), logits.spans.copy()) for logits in kept]
    for _ in range(300):
        parser.logits(b"something else")
    parser.close()
    del parser
    gc.collect()
    for logits, (intent, tags, spans) in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(logits.intent, intent)
        np.testing.assert_array_equal(logits.tags, tags)
        np.testing.assert_array_equal(logits.spans, spans)


def test_calls_leave_no_memory_behind(parser: Parser) -> None:
    def run(number: int) -> int:
        for index in range(number):
            parser(TEXTS[index % len(TEXTS)])
        return resident_bytes()

    warm = run(10_000)
    # A leak of one output buffer a call would be 64 bytes at least: 1.9 MB here.
    assert run(30_000) - warm < 1_000_000


def test_changing_a_result_changes_no_other(parser: Parser) -> None:
    first, second = parser.logits("a b"), parser.logits("a b")
    first.intent[:], first.tags[:], first.spans[:] = 9, 9, 9
    assert_right(second, b"a b")
    assert_right(parser.logits("a b"), b"a b")


class TestLongTexts:
    """A text is never cut in silence."""

    def test_more_bytes_than_any_bucket_are_refused(self, parser: Parser) -> None:
        parser("x" * 64)
        with pytest.raises(InputTooLongError, match=r"65 bytes, this package reads up to 64.*truncate"):
            parser("x" * 65)
        with pytest.raises(InputTooLongError, match="66 bytes"):
            parser("é" * 33)

    def test_more_words_than_any_bucket_are_refused(self, parser: Parser) -> None:
        parser("a " * 16)
        with pytest.raises(InputTooLongError, match="17 words, this package reads up to 16"):
            parser("a " * 17)

    def test_a_batch_names_the_text(self, parser: Parser) -> None:
        with pytest.raises(InputTooLongError, match=r"text 1 of the batch: .*bytes"):
            parser.parse_batch(["fine", "x" * 65, "never reached"])

    def test_truncation_is_asked_for_and_said(self, tiny_path: Path) -> None:
        with Parser.load(tiny_path, on_long="truncate") as parser:
            assert not parser("x" * 64).truncated
            by_words = parser("a " * 20)
            assert (by_words.truncated, by_words.words, by_words.text) == (True, 16, "a " * 20)
            by_bytes = parser("é" * 40)
            assert (by_bytes.truncated, by_bytes.words) == (True, 1)
            assert_right(parser.logits("é" * 40), ("é" * 32).encode())
            assert all(slot.end <= 32 for slot in by_bytes.slots)
            odd = b"a" + "é".encode() * 40
            assert_right(parser.logits(odd), odd[:63])

    def test_a_word_is_not_cut_in_two_where_a_space_is_near(self, tiny_path: Path) -> None:
        text = b"x" * 40 + b" " + b"y" * 40
        assert cut_text(text, 64) == b"x" * 40
        assert cut_text(b"x" * 64 + b" y", 64) == b"x" * 64
        with Parser.load(tiny_path, on_long="truncate") as parser:
            assert_right(parser.logits(text), b"x" * 40)

    def test_a_huge_text_is_bounded_work(self, tiny_path: Path) -> None:
        with Parser.load(tiny_path, on_long="truncate") as parser:
            parse = parser("wake me " * 200_000)
            assert (parse.truncated, parse.words) == (True, 16)

    def test_an_unknown_policy_is_refused(self, tiny_path: Path) -> None:
        with pytest.raises(ValueError, match="on_long is 'cut'"):
            Parser.load(tiny_path, on_long="cut")  # type: ignore[arg-type]


class TestThreads:
    """One parser is safe to share, and parsers of their own do not disturb one another."""

    def test_a_shared_parser_answers_as_in_series(self, parser: Parser) -> None:
        texts = [f"{'wd ' * (i % 15)}{chr(97 + i % 26)}{i}" for i in range(200)]
        serial = parser.parse_batch(texts)
        barrier = threading.Barrier(6)

        def work(seed: int) -> list[tuple[int, Parse]]:
            order = np.random.default_rng(seed).permutation(len(texts)).tolist() * 3
            barrier.wait()
            return [(i, parser(texts[i])) for i in order]

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)  # so that Python changes threads inside calls, not every 5 ms
        try:
            with ThreadPoolExecutor(6) as pool:
                results = [
                    pair for future in [pool.submit(work, seed) for seed in range(6)] for pair in future.result()
                ]
        finally:
            sys.setswitchinterval(interval)
        assert len(results) == 6 * 3 * len(texts)
        assert all(parse == serial[index] for index, parse in results)

    def test_parsers_of_their_own_answer_alike(self, tiny_path: Path, parser: Parser) -> None:
        expected = [parser(text) for text in TEXTS]

        def work(_: int) -> list[Parse]:
            with Parser.load(tiny_path) as own:
                return [own(text) for _ in range(50) for text in TEXTS]

        with ThreadPoolExecutor(4) as pool:
            assert all(result == expected * 50 for result in pool.map(work, range(4)))

    def test_worker_threads_answer_alike_and_go_away(self, tiny_path: Path, parser: Parser) -> None:
        before = list_threads()
        with Parser.load(tiny_path, threads=3) as threaded:
            assert len(list_threads().keys() - before.keys()) >= 3
            assert [threaded(text) for text in TEXTS] == [parser(text) for text in TEXTS]
        del threaded
        gc.collect()
        assert len(threads_that_stay(before)) <= 1

    def test_closing_while_others_parse_is_clean(self, tiny_path: Path) -> None:
        shared = Parser.load(tiny_path)
        ended: list[BaseException] = []

        def work() -> None:
            try:
                while True:
                    shared("one two three")
            except ParserClosedError as error:
                ended.append(error)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        shared("a")
        shared.close()
        for thread in threads:
            thread.join(100)
        assert len(ended) == 3

    @pytest.mark.parametrize("threads", [1, 2])
    def test_a_waiting_parser_uses_no_processor_time(self, tiny_path: Path, threads: int) -> None:
        with Parser.load(tiny_path, threads=threads) as waiting:
            waiting.warmup()
            before = time.process_time()
            time.sleep(0.3)
            assert time.process_time() - before < 0.03

    @pytest.mark.parametrize("threads", [0, -1])
    def test_no_threads_are_refused(self, threads: int) -> None:
        with pytest.raises(ValueError, match="at least 1"):
            open_device(threads)


def test_a_closed_parser_says_so(tiny_path: Path) -> None:
    parser = Parser.load(tiny_path)
    parser.warmup()
    parser.close()
    parser.close()
    assert parser.closed
    for call in (lambda: parser("a"), lambda: parser.logits("a"), parser.warmup, lambda: parser.parse_batch(["a"])):
        with pytest.raises(ParserClosedError, match="Load the package again"):
            call()


def test_a_batch_gives_what_single_calls_give(parser: Parser) -> None:
    assert parser.parse_batch(iter(TEXTS)) == [parser(text) for text in TEXTS]
    assert parser.parse_batch([]) == []


def test_other_types_are_refused(parser: Parser) -> None:
    for wrong in (None, 3, ["a"]):
        with pytest.raises(TypeError, match="expected str or bytes"):
            parser(wrong)  # type: ignore[arg-type]


class TestRefusals:
    """What does not fit is refused before code is loaded, with what to do."""

    @pytest.fixture
    def own(self, tiny_code: bytes, tmp_path: Path) -> Path:
        write_package(tmp_path / "own.pqrnn", tiny_code)
        return tmp_path / "own.pqrnn"

    def change(self, path: Path, **changes: object) -> Manifest:
        return seal(path, msgspec.structs.replace(open_package(path).manifest, **changes))

    def test_changed_code_is_never_loaded(self, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        code = own / "variants/generic/module.vmfb"
        content = bytearray(code.read_bytes())
        content[len(content) // 2] ^= 1
        code.write_bytes(content)
        monkeypatch.setattr("runtime_py.parser.Session", lambda *_: pytest.fail("the code was loaded"))
        with pytest.raises(DigestError, match="SHA-256"):
            Parser.load(own)

    def test_a_missing_feature_is_named(self, own: Path) -> None:
        variant = msgspec.structs.replace(open_package(own).manifest.variants[0], features=["avx2048"])
        self.change(own, variants=[variant])
        with pytest.raises(UnsupportedTargetError, match="lacks avx2048"):
            Parser.load(own)

    def test_another_compiler_is_named(self, own: Path) -> None:
        self.change(own, producer=msgspec.structs.replace(open_package(own).manifest.producer, iree_compiler="2.0.1"))
        with pytest.raises(RuntimeMismatchError, match=r"iree-base-runtime==2\.0\.\*"):
            Parser.load(own)
        with pytest.warns(UserWarning, match=r"2\.0\.1"):
            Parser.load(own, strict=False).close()

    def test_code_that_is_none_is_refused_by_the_runtime(self, own: Path) -> None:
        (own / "variants/generic/module.vmfb").write_bytes(b"no module " * 100)
        self.change(own)
        with pytest.raises(DeviceError, match=r"module\.vmfb: the runtime refuses"):
            Parser.load(own)

    def test_a_missing_entry_is_named(self, own: Path) -> None:
        self.change(own, buckets=[msgspec.structs.replace(BUCKETS[0], entry="parse_5")])
        with pytest.raises(PackageError, match=r"no function 'parse_5'; it has: parse_4, parse_8, parse_16"):
            Parser.load(own)

    def test_labels_of_another_model_are_noticed_at_the_first_call(self, own: Path) -> None:
        labels = msgspec.structs.replace(open_package(own).manifest.labels, intents=["a", "b"])
        self.change(own, labels=labels)
        with (
            Parser.load(own) as parser,
            pytest.raises(PackageError, match=r"returns float32\[1, 5\].*expected float32\[1, 2\]"),
        ):
            parser("a")

    def test_a_bucket_of_another_size_is_noticed_at_the_first_call(self, own: Path) -> None:
        self.change(own, buckets=[msgspec.structs.replace(BUCKETS[1], words=4, bytes=32)])
        with Parser.load(own) as parser, pytest.raises((PackageError, DeviceError), match="parse_8"):
            parser("a")

    def test_an_unknown_variant_is_refused(self, tiny_path: Path) -> None:
        with pytest.raises(UnsupportedTargetError, match="no variant 'vulkan'; it has: generic"):
            Parser.load(tiny_path, variant="vulkan")


def test_a_module_in_plain_bytes_loads_too(tiny_path: Path) -> None:
    session = Session((tiny_path / "variants/generic/module.vmfb").read_bytes(), list(BUCKETS), 5, 5)
    assert [entry.bucket for entry in session.entries] == list(BUCKETS)
    assert session.entries[0].run(b"a b").count == 2
