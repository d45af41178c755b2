"""A tiny module with the calling convention of a compiled parser, written as MLIR, its oracle in NumPy, and a package.

It cuts words at spaces and zero bytes, and its logits depend on every byte, so a test sees a wrong byte, word or bucket
at once: ``intent[i] = 7 - |sum(byte * (position + 1)) mod I - i|`` and ``tags[w, t] = 3 - |(first byte of word w) mod L
- t|``. It compiles in seconds, for any processor of an architecture.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime_py.decode.calibration import Calibration
from runtime_py.decode.labels import Labels
from runtime_py.device.preflight import this_machine
from runtime_py.package_format.golden import join_golden, save_golden
from runtime_py.package_format.manifest import Bucket, Golden, Manifest, Model, Producer, Variant
from runtime_py.package_format.package import new_package, seal

FLAGS = (
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=generic",
)
INTENTS = ("alarm", "music", "weather", "timer", "none")
TAGS = ("O", "B-when", "I-when", "B-what", "I-what")
BUCKETS = (
    Bucket(words=4, bytes=32, entry="parse_4"),
    Bucket(words=8, bytes=64, entry="parse_8"),
    Bucket(words=16, bytes=64, entry="parse_16"),
)
SEPARATORS = b"\x00 "


def oracle(raw: bytes, words: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32], int]:
    """Return intent logits, tag logits and spans of at most ``words`` words, and the number of words in the text."""
    total = sum(byte * (position + 1) for position, byte in enumerate(raw))
    intent = np.array([7 - abs(total % len(INTENTS) - i) for i in range(len(INTENTS))], np.float32)
    inside = [byte not in SEPARATORS for byte in raw]
    starts = [i for i in range(len(raw)) if inside[i] and (i == 0 or not inside[i - 1])]
    ends = [i + 1 for i in range(len(raw)) if inside[i] and (i + 1 == len(raw) or not inside[i + 1])]
    kept = starts[:words]
    tags = np.array([[3 - abs(raw[start] % len(TAGS) - t) for t in range(len(TAGS))] for start in kept], np.float32)
    spans = np.array(list(zip(starts, ends, strict=True))[:words], np.int32)
    return intent, tags.reshape(-1, len(TAGS)), spans.reshape(-1, 2), len(starts)


TEXTS = (
    b"wake me at seven",
    b"",
    b"a",
    b"one two three four five six seven eight nine ten",
    b"play  some\x00jazz ",
    "réveille-moi à 7h 😀".encode(),
    b"\xff\xfe broken \xe2\x82",
    b"x" * 64,
)


def write_package(
    destination: Path, code: bytes, more: tuple[bytes, ...] = (), calibration: Calibration | None = None
) -> Manifest:
    """Write a whole package around the compiled module, with golden vectors from the oracle.

    They are for more texts where these are given, and the package has a calibration where there is one.
    """
    texts = (*TEXTS, *more)
    outputs = [oracle(text, BUCKETS[-1].words) for text in texts]
    vectors = join_golden(texts, [o[0] for o in outputs], [o[1] for o in outputs], [o[2] for o in outputs])
    variant = Variant(
        target="generic",
        device="local-sync",
        triple=f"{this_machine().architecture}-unknown-linux-gnu",
        cpu="generic",
        features=[],
        path="variants/generic/module.vmfb",
        flags=[],
        compile_seconds=1.0,
        parity=None,
        unverified_reason="a test",
    )
    manifest = Manifest(
        name="tiny",
        created="2026-01-01T00:00:00Z",
        producer=Producer(pqrnn="0", iree_compiler=this_machine().runtime, iree_turbine="0", torch="0"),
        model=Model(parameters=0, precision="float32", config={}),
        labels=Labels(intents=tuple(INTENTS), tags=tuple(TAGS)),
        buckets=list(BUCKETS),
        variants=[variant],
        golden=Golden(path="golden/golden.npz", texts=len(vectors), words=len(vectors.tags), tolerance=1e-6),
        files={},
        calibration=calibration,
    )
    with new_package(destination) as directory:
        (directory / "golden").mkdir()
        save_golden(directory / "golden" / "golden.npz", vectors)
        (directory / variant.path).parent.mkdir(parents=True)
        (directory / variant.path).write_bytes(code)
        return seal(directory, manifest)


def module_text(buckets: tuple[Bucket, ...] = BUCKETS) -> str:
    """Return the whole module as MLIR."""
    return "module @module {\n" + "\n".join(_function(bucket) for bucket in buckets) + "}\n"


def _function(bucket: Bucket) -> str:
    """Write one entry.

    It unpacks the bytes, marks word starts and ends, ranks them by a running sum, and picks each word by its rank.
    """
    size, words, lanes = bucket.bytes, bucket.words, bucket.bytes // 4
    row = "affine_map<(d0) -> (d0)>"
    return f"""
  func.func @{bucket.entry}(%text: tensor<1x{lanes}xi32>)
      -> (tensor<1x{len(INTENTS)}xf32>, tensor<1x{words}x{len(TAGS)}xf32>, tensor<1x{words}x2xi32>, tensor<1xi32>) {{
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c4 = arith.constant 4 : index
    %last = arith.constant {size - 1} : index
    %zero = arith.constant 0 : i32
    %one = arith.constant 1 : i32
    %space = arith.constant 32 : i32
    %eight = arith.constant 8 : i32
    %mask = arith.constant 255 : i32
    %row = tensor.empty() : tensor<{size}xi32>
    %bytes = linalg.generic {{indexing_maps = [{row}], iterator_types = ["parallel"]}}
        outs(%row : tensor<{size}xi32>) {{
      ^bb0(%o: i32):
        %n = linalg.index 0 : index
        %lane = arith.divui %n, %c4 : index
        %part = arith.remui %n, %c4 : index
        %value = tensor.extract %text[%c0, %lane] : tensor<1x{lanes}xi32>
        %p = arith.index_cast %part : index to i32
        %shift = arith.muli %p, %eight : i32
        %moved = arith.shrui %value, %shift : i32
        %byte = arith.andi %moved, %mask : i32
        linalg.yield %byte : i32
    }} -> tensor<{size}xi32>
    %inside = linalg.generic {{indexing_maps = [{row}, {row}], iterator_types = ["parallel"]}}
        ins(%bytes : tensor<{size}xi32>) outs(%row : tensor<{size}xi32>) {{
      ^bb0(%b: i32, %o: i32):
        %a = arith.cmpi ne, %b, %zero : i32
        %s = arith.cmpi ne, %b, %space : i32
        %both = arith.andi %a, %s : i1
        %r = arith.extui %both : i1 to i32
        linalg.yield %r : i32
    }} -> tensor<{size}xi32>
    %starts = linalg.generic {{indexing_maps = [{row}, {row}], iterator_types = ["parallel"]}}
        ins(%inside : tensor<{size}xi32>) outs(%row : tensor<{size}xi32>) {{
      ^bb0(%here: i32, %o: i32):
        %n = linalg.index 0 : index
        %first = arith.cmpi eq, %n, %c0 : index
        %down = arith.subi %n, %c1 : index
        %before = arith.select %first, %c0, %down : index
        %left = tensor.extract %inside[%before] : tensor<{size}xi32>
        %blocked = arith.select %first, %zero, %left : i32
        %free = arith.subi %one, %blocked : i32
        %r = arith.muli %here, %free : i32
        linalg.yield %r : i32
    }} -> tensor<{size}xi32>
    %ends = linalg.generic {{indexing_maps = [{row}, {row}], iterator_types = ["parallel"]}}
        ins(%inside : tensor<{size}xi32>) outs(%row : tensor<{size}xi32>) {{
      ^bb0(%here: i32, %o: i32):
        %n = linalg.index 0 : index
        %final = arith.cmpi eq, %n, %last : index
        %up = arith.addi %n, %c1 : index
        %after = arith.select %final, %last, %up : index
        %right = tensor.extract %inside[%after] : tensor<{size}xi32>
        %blocked = arith.select %final, %zero, %right : i32
        %free = arith.subi %one, %blocked : i32
        %r = arith.muli %here, %free : i32
        linalg.yield %r : i32
    }} -> tensor<{size}xi32>
    %zeros = linalg.fill ins(%zero : i32) outs(%row : tensor<{size}xi32>) -> tensor<{size}xi32>
    %rank = linalg.generic {{indexing_maps = [affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> (d0)>],
        iterator_types = ["parallel", "reduction"]}}
        ins(%starts : tensor<{size}xi32>) outs(%zeros : tensor<{size}xi32>) {{
      ^bb0(%begun: i32, %sum: i32):
        %n = linalg.index 0 : index
        %m = linalg.index 1 : index
        %past = arith.cmpi ule, %m, %n : index
        %add = arith.select %past, %begun, %zero : i32
        %r = arith.addi %sum, %add : i32
        linalg.yield %r : i32
    }} -> tensor<{size}xi32>
    %total = tensor.extract %rank[%last] : tensor<{size}xi32>
    %count = tensor.from_elements %total : tensor<1xi32>
    %pairs = tensor.empty() : tensor<1x{words}x2xi32>
    %blank = linalg.fill ins(%zero : i32) outs(%pairs : tensor<1x{words}x2xi32>) -> tensor<1x{words}x2xi32>
    %spans = linalg.generic {{indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d3)>,
        affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>],
        iterator_types = ["parallel", "parallel", "parallel", "reduction"]}}
        ins(%rank : tensor<{size}xi32>) outs(%blank : tensor<1x{words}x2xi32>) {{
      ^bb0(%ordinal: i32, %sum: i32):
        %w = linalg.index 1 : index
        %side = linalg.index 2 : index
        %n = linalg.index 3 : index
        %s = tensor.extract %starts[%n] : tensor<{size}xi32>
        %e = tensor.extract %ends[%n] : tensor<{size}xi32>
        %is_end = arith.cmpi eq, %side, %c1 : index
        %flag = arith.select %is_end, %e, %s : i32
        %up = arith.addi %n, %side : index
        %position = arith.index_cast %up : index to i32
        %w1 = arith.addi %w, %c1 : index
        %wanted = arith.index_cast %w1 : index to i32
        %mine = arith.cmpi eq, %ordinal, %wanted : i32
        %value = arith.muli %flag, %position : i32
        %add = arith.select %mine, %value, %zero : i32
        %r = arith.addi %sum, %add : i32
        linalg.yield %r : i32
    }} -> tensor<1x{words}x2xi32>
    %scalar = tensor.empty() : tensor<i32>
    %nought = linalg.fill ins(%zero : i32) outs(%scalar : tensor<i32>) -> tensor<i32>
    %weighted = linalg.generic {{indexing_maps = [{row}, affine_map<(d0) -> ()>], iterator_types = ["reduction"]}}
        ins(%bytes : tensor<{size}xi32>) outs(%nought : tensor<i32>) {{
      ^bb0(%b: i32, %sum: i32):
        %n = linalg.index 0 : index
        %n1 = arith.addi %n, %c1 : index
        %factor = arith.index_cast %n1 : index to i32
        %value = arith.muli %b, %factor : i32
        %r = arith.addi %sum, %value : i32
        linalg.yield %r : i32
    }} -> tensor<i32>
    %intents = arith.constant {len(INTENTS)} : i32
    %seven = arith.constant 7 : i32
    %i0 = tensor.empty() : tensor<1x{len(INTENTS)}xf32>
    %intent = linalg.generic {{indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>],
        iterator_types = ["parallel", "parallel"]}} outs(%i0 : tensor<1x{len(INTENTS)}xf32>) {{
      ^bb0(%o: f32):
        %i = linalg.index 1 : index
        %number = arith.index_cast %i : index to i32
        %sum = tensor.extract %weighted[] : tensor<i32>
        %left = arith.remui %sum, %intents : i32
        %apart = arith.subi %left, %number : i32
        %far = math.absi %apart : i32
        %near = arith.subi %seven, %far : i32
        %r = arith.sitofp %near : i32 to f32
        linalg.yield %r : f32
    }} -> tensor<1x{len(INTENTS)}xf32>
    %labels = arith.constant {len(TAGS)} : i32
    %three = arith.constant 3 : i32
    %t0 = tensor.empty() : tensor<1x{words}x{len(TAGS)}xf32>
    %tags = linalg.generic {{indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>],
        iterator_types = ["parallel", "parallel", "parallel"]}} outs(%t0 : tensor<1x{words}x{len(TAGS)}xf32>) {{
      ^bb0(%o: f32):
        %w = linalg.index 1 : index
        %t = linalg.index 2 : index
        %number = arith.index_cast %t : index to i32
        %begin = tensor.extract %spans[%c0, %w, %c0] : tensor<1x{words}x2xi32>
        %at = arith.index_cast %begin : i32 to index
        %first = tensor.extract %bytes[%at] : tensor<{size}xi32>
        %left = arith.remui %first, %labels : i32
        %apart = arith.subi %left, %number : i32
        %far = math.absi %apart : i32
        %near = arith.subi %three, %far : i32
        %r = arith.sitofp %near : i32 to f32
        linalg.yield %r : f32
    }} -> tensor<1x{words}x{len(TAGS)}xf32>
    return %intent, %tags, %spans, %count
        : tensor<1x{len(INTENTS)}xf32>, tensor<1x{words}x{len(TAGS)}xf32>, tensor<1x{words}x2xi32>, tensor<1xi32>
  }}
"""
