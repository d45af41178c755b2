"""Export to ONNX: the whole program, from UTF-8 bytes to logits, as one file for ONNX Runtime and other readers.

The projection of words is part of it, bit for bit. Two operations need another form for that, because ONNX Runtime
computes them differently from PyTorch and IREE:

* ONNX shifts unsigned integers only, so an arithmetic shift is a shift of the magnitude with its sign put back:
  `((x ^ s) >> k) ^ s`, with `s` being -1 for a negative number and 0 otherwise;
* ONNX Runtime's `ReduceSum` of int32 saturates where it should wrap around, which the hash of a word relies on: such
  sums are computed in int64 and cut to 32 bits.

Everything else that the projection uses (int32 products and sums that wrap, bitwise operations, gathers) is computed in
the same way; the export verifies that by running the file on the golden texts.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from compile.lowering.buckets import choose_buckets
from compile.lowering.export import TextEntry
from compile.support.errors import ExportError, PlanError, VerificationError
from compile.support.scratch import scratch_folder
from compile.verify.golden import make_golden
from compile.verify.reference import Oracle
from pqrnn.checkpoint import load_checkpoint
from pqrnn.features.utf8 import pack_texts
from runtime_py.atomic_files import write_atomic
from runtime_py.package_format.manifest import Bucket

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pqrnn.checkpoint import Checkpoint
    from runtime_py.package_format.golden import GoldenVectors

INPUT = "text"
OUTPUTS = ("intent", "tags", "spans", "count")
METADATA = "pqrnn"
_OPSET = 20
_BATCH = 16  # texts of the check at a time; a text of N bytes takes about 100 N^2 bytes
_NUMBER = 6  # ONNX's int32

Run = Callable[["NDArray[np.int32]"], Sequence["NDArray[Any]"]]


@dataclass(frozen=True, slots=True)
class OnnxExport:
    """An exported file, and the comparison of ONNX Runtime with PyTorch.

    Attributes:
        path: Path of the file.
        bucket: Number of words and bytes of a text that the program reads.
        bytes: Size of the file.
        opset: Version of ONNX's operators.
        runtime: Version of ONNX Runtime that the file was run in.
        texts: Number of golden texts that were compared.
        words: Number of words in those texts.
        largest: Largest difference of a logit from PyTorch's in float64.
        tolerance: Largest difference that is allowed.
    """

    path: Path
    bucket: Bucket
    bytes: int
    opset: int
    runtime: str
    texts: int
    words: int
    largest: float
    tolerance: float


def export_onnx(
    run: Path,
    out: Path,
    *,
    bucket: Bucket | None = None,
    replace: bool = False,
    on_progress: Callable[[str], None] = lambda _: None,
) -> OnnxExport:
    """Write a trained parser as ONNX, and compare its answers in ONNX Runtime with PyTorch's.

    Args:
        run: Folder of the trained parser.
        out: File to write; it appears when everything has passed, and not before.
        bucket: Number of words and bytes of a text that the program reads, or None for those of the largest bucket that
            `compile_checkpoint` would make.
        replace: Whether a file at `out` may be replaced.
        on_progress: Called with what is done next.

    Raises:
        PlanError: `out` exists and may not be replaced, or is a folder.
        ExportError: PyTorch cannot write the model, or ONNX's checker refuses what it wrote.
        VerificationError: ONNX Runtime answers differently from PyTorch.
        CheckpointError: The checkpoint cannot be read.
    """
    import onnxruntime

    if out.is_dir() or (out.exists() and not replace):
        raise PlanError(f"{out}: exists already. Choose another name{'' if out.is_dir() else ', or say --replace'}.")
    on_progress("reading the checkpoint")
    checkpoint = load_checkpoint(run)
    model = checkpoint.model.folded()
    chosen = bucket or choose_buckets(checkpoint.facts.lengths)[-1]
    with scratch_folder("onnx") as folder:
        path = folder / "parser.onnx"
        on_progress(f"exporting {chosen.words} words, {chosen.bytes} bytes")
        write_onnx(
            TextEntry(model, chosen.words),
            (torch.zeros((2, chosen.bytes // 4), dtype=torch.int32),),
            path,
            (INPUT,),
            OUTPUTS,
            batch=True,
        )
        _describe(path, checkpoint, chosen)
        on_progress("answering the golden texts in PyTorch")
        texts = [text.encode("utf-8", "replace") for text in checkpoint.facts.golden_texts]
        golden = make_golden(Oracle(model, (chosen,)), texts, (chosen,))
        on_progress(f"answering {len(golden.vectors)} texts in ONNX Runtime")
        largest = compare_golden(open_onnx(path), golden.vectors, golden.tolerance, chosen)
        content = path.read_bytes()
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, content)
    vectors = golden.vectors
    return OnnxExport(
        out,
        chosen,
        len(content),
        _OPSET,
        onnxruntime.__version__,
        len(vectors),
        len(vectors.tags),
        largest,
        golden.tolerance,
    )


def write_onnx(
    module: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    batch: bool = False,
) -> None:
    """Write a module as ONNX, with the weights in the same file, and run ONNX's checker on it.

    Args:
        module: Module to write, which is put into evaluation mode.
        example: Example inputs; their shapes are fixed, but for the first dimension where `batch` is true.
        path: File to write.
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        batch: Whether the first dimension of every input is variable.

    Raises:
        ExportError: PyTorch cannot write the module, or the checker refuses it.
    """
    import onnx

    shapes = tuple({0: torch.export.Dim("batch")} for _ in example) if batch else None
    try:
        with _quiet(), torch.no_grad():
            torch.onnx.export(
                module.eval(),
                example,
                path,
                dynamo=True,
                verbose=False,
                optimize=True,
                external_data=False,
                opset_version=_OPSET,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=shapes,
                custom_translation_table=_translations(),
            )
        onnx.checker.check_model(path, full_check=True)
    except Exception as error:
        raise ExportError(
            f"{path.name}: PyTorch cannot write the model as ONNX, or ONNX's checker refuses it",
            f"{type(error).__name__}: {error}",
        ) from error


def open_onnx(path: Path) -> Run:
    """Open a file that `export_onnx` has written in ONNX Runtime, on one thread.

    Returns:
        A function of int32[B, N/4] to the four outputs.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda text: session.run(list(OUTPUTS), {INPUT: text})


def compare_golden(run: Run, vectors: GoldenVectors, tolerance: float, bucket: Bucket) -> float:
    """Compare answers with golden vectors.

    Words, their spans and decisions have to be equal, and logits within the tolerance.

    Args:
        run: Computes the four outputs from int32[B, N/4].
        vectors: Texts with PyTorch's answers.
        tolerance: Largest allowed difference of a logit.
        bucket: Number of words and bytes of a text that `run` reads.

    Returns:
        The largest difference of a logit.

    Raises:
        VerificationError: An answer differs; the message has the first such text.
    """
    largest = 0.0
    for first in range(0, len(vectors), _BATCH):
        numbers = range(first, min(first + _BATCH, len(vectors)))
        intent, tags, spans, count = run(
            pack_texts([vectors.texts[number] for number in numbers], bucket.bytes).numpy()
        )
        for row, number in enumerate(numbers):
            rows = vectors.words(number)
            words = rows.stop - rows.start
            answer, wanted = (intent[row], tags[row, :words]), (vectors.intent[number], vectors.tags[rows])
            text = vectors.texts[number]
            if count[row] != words or not np.array_equal(spans[row, :words], vectors.spans[rows]):
                raise VerificationError(
                    f"ONNX Runtime finds other words than PyTorch in {text!r}: {count[row]} of them, expected {words}"
                )
            apart = max(float(np.abs(a - b).max(initial=0.0)) for a, b in zip(answer, wanted, strict=True))
            # Not "apart > tolerance": a NaN is a difference, too.
            if not apart <= tolerance:
                raise VerificationError(
                    f"ONNX Runtime's logits are {apart:.2e} away from PyTorch's for {text!r}; "
                    f"{tolerance:.2e} is what rounding explains"
                )
            if any(not np.array_equal(a.argmax(-1), b.argmax(-1)) for a, b in zip(answer, wanted, strict=True)):
                raise VerificationError(f"ONNX Runtime decides otherwise than PyTorch about {text!r}")
            largest = max(largest, apart)
    return largest


def _describe(path: Path, checkpoint: Checkpoint, bucket: Bucket) -> None:
    """Write the description of inputs, outputs and labels into the file."""
    import onnx

    facts = checkpoint.facts
    model = onnx.load(path)
    model.producer_name, model.doc_string = (
        "pqrnn",
        "UTF-8 bytes to intent and slots; the text part is included and computed bit for bit.",
    )
    document = {
        "includes": "everything from UTF-8 bytes to logits",
        "input": (
            f"{INPUT}: int32 [batch, {bucket.bytes // 4}], UTF-8 padded with zeros, "
            "four bytes a number, the first in the lowest bits"
        ),
        "outputs": {
            "intent": f"logits, float32 [batch, {len(facts.labels.intents)}]",
            "tags": (
                f"logits, float32 [batch, {bucket.words}, {len(facts.labels.tags)}]; rows from count on are padding"
            ),
            "spans": f"start and end byte of each word, int32 [batch, {bucket.words}, 2]",
            "count": f"words in the text, int32 [batch]; more than {bucket.words} means that the text was cut there",
        },
        "intents": facts.labels.intents,
        "tags": facts.labels.tags,
        "revision": facts.revision,
    }
    onnx.helper.set_model_props(model, {METADATA: json.dumps(document, ensure_ascii=False)})
    onnx.save(model, path)


def _translations() -> dict[Any, Callable[..., Any]]:
    """Return translations of the PyTorch operations that ONNX Runtime would compute differently."""
    import onnx
    import onnx_ir
    import onnxscript

    op: Any = onnxscript.opset20
    zero = onnx.helper.make_tensor("zero", _NUMBER, [], [0])

    def shift_right(value: Any, bits: Any) -> Any:
        sign = op.Neg(op.Cast(op.Less(value, op.Constant(value=zero)), to=_NUMBER))
        magnitude = op.Cast(op.BitwiseXor(value, sign), to=onnx.TensorProto.UINT32)
        moved = op.BitShift(magnitude, op.Cast(bits, to=onnx.TensorProto.UINT32), direction="RIGHT")
        return op.BitwiseXor(op.Cast(moved, to=_NUMBER), sign)

    def add_up(value: Any, dim: Sequence[int], keepdim: bool = False, dtype: int = -1) -> Any:
        axes = op.Constant(value_ints=list(dim))
        if value.dtype != onnx_ir.DataType.INT32:
            total = op.ReduceSum(value, axes, keepdims=int(keepdim))
            return total if dtype == -1 else op.Cast(total, to=dtype)
        return op.Cast(op.ReduceSum(op.Cast(value, to=onnx.TensorProto.INT64), axes, keepdims=int(keepdim)), to=_NUMBER)

    def multiply_integers(left: Any, right: Any) -> Any:
        return op.MatMulInteger(left, right)

    aten = torch.ops.aten
    return {
        aten.bitwise_right_shift.Tensor: shift_right,
        aten.sum.dim_IntList: add_up,
        aten._int_mm.default: multiply_integers,
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide PyTorch's message about a missing torchvision at every export, and warnings about its own code."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logger.setLevel(level)
