"""The teacher, compiled with the same flags as the parser: the cost of running it on the device instead.

It gets the ids of its subwords; cutting words into subwords is not in its time. It has one entry for each of a few
numbers of tokens, as the parser has for words.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import iree.runtime as rt
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from benchmarks.peers.peer import write_once
from compile.lowering.export import decompositions
from compile.lowering.import_mlir import import_programs
from compile.lowering.iree_compile import compile_module, target_flags
from pqrnn.distillation.loading import load_teacher
from pqrnn.distillation.teacher import TeacherModel
from pqrnn.features.segmentation import segment_texts
from runtime_py.execute.entry import map_buffer
from targets import registry

NAME = "its teacher, compiled the same way"
_STEP = 8

Tokens = npt.NDArray[np.int32]  # [tokens]


class _Program(nn.Module):
    """The teacher as a program: ids of subwords in, logits out, with a tag for every subword."""

    def __init__(self, teacher: TeacherModel) -> None:
        super().__init__()
        self.teacher = teacher

    def forward(self, tokens: Tensor, attention: Tensor) -> tuple[Tensor, Tensor]:
        """Turn tokens and attention, both int32 [1, T], into intent logits [1, I] and tag logits [1, T, L]."""
        return self.teacher.encode_tokens(tokens, attention)


class CompiledTeacher:
    """A fine-tuned encoder behind the parser's own runtime."""

    def __init__(self, run: Path, texts: list[bytes], folder: Path) -> None:
        """Compile the teacher for the lengths of the texts.

        Args:
            run: Folder of the teacher.
            texts: Texts that it will answer.
            folder: Folder in which the module is kept.

        Raises:
            CheckpointError: There is no teacher.
            SystemExit: The teacher has no encoder of subwords.
        """
        teacher, _ = load_teacher(run)
        if not isinstance(teacher, TeacherModel):
            raise SystemExit(f"{run}: a teacher without an encoder of subwords, which this benchmark does not compile")
        self.tokens = _cut(teacher, texts)
        lengths = sorted({-(-len(tokens) // _STEP) * _STEP for tokens in self.tokens})
        name = "-".join(map(str, lengths))
        self.path = write_once(folder / f"teacher-{name}.vmfb", lambda path: _compile(teacher, lengths, path))
        self.parameters = teacher.parameters_count()
        self._open(lengths)

    def __call__(self, index: int) -> list[npt.NDArray[np.float32]]:
        """Answer the text with that index: intent logits [1, I] and tag logits [1, T, L]."""
        tokens = self.tokens[index]
        count = len(tokens)
        function, arguments, ids, seen = self._entries[-(-count // _STEP) * _STEP]
        ids[:count], ids[count:], seen[:count], seen[count:] = tokens, 0, 1, 0
        results = rt.VmVariantList(2)
        self._context.invoke(function, arguments, results)
        views = [results.get_as_object(position, rt.HalBufferView) for position in range(2)]
        return [view.map().asarray(view.shape, np.dtype(np.float32)) for view in views]

    def _open(self, lengths: list[int]) -> None:
        device, instance = rt.get_device("local-sync"), rt.VmInstance()
        module = rt.VmModule.mmap(instance, str(self.path))
        self._context = rt.VmContext(instance, [rt.create_hal_module(instance, device), module])
        self._entries: dict[int, tuple[Any, Any, Tokens, Tokens]] = {}
        for length in lengths:
            arguments, arrays = rt.VmVariantList(2), []
            for _ in range(2):
                buffer, memory = map_buffer(device, 4 * length)
                arguments.push_ref(rt.HalBufferView(buffer, [1, length], rt.HalElementType.SINT_32))
                arrays.append(np.frombuffer(memory, np.int32))
            self._entries[length] = (module.lookup_function(f"answer_{length}"), arguments, arrays[0], arrays[1])


def _cut(teacher: TeacherModel, texts: list[bytes]) -> list[Tokens]:
    table = teacher.make_table()
    with torch.inference_mode():
        spans = segment_texts(teacher.projection, texts)
    rows = [table.index([text[start:end] for start, end in words]) for text, words in zip(texts, spans, strict=True)]
    return [table.collate([row], teacher.longest).tokens[0].numpy().astype(np.int32) for row in rows]


def _compile(teacher: TeacherModel, lengths: list[int], target: Path) -> None:
    host = registry().get("host")
    teacher.encoder.set_attn_implementation("eager")  # in operations that the importer knows
    programs = {}
    with torch.no_grad():
        for length in lengths:
            example = (torch.zeros((1, length), dtype=torch.int32), torch.ones((1, length), dtype=torch.int32))
            programs[f"answer_{length}"] = torch.export.export(
                _Program(teacher).eval(), example, strict=False
            ).run_decompositions(decompositions())
    source = import_programs(programs, target.with_suffix(".mlirbc"))
    try:
        compile_module(source, target, target_flags(host, registry().family(host)))
    finally:
        source.unlink()
