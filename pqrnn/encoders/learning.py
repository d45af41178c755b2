"""The loss of a step: what the student makes of a batch against what goes on inside the teacher."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pqrnn.encoders.mappings import map_layers
from pqrnn.encoders.objectives import choose_heads, hidden_loss, output_loss, relation_loss
from pqrnn.encoders.students import Reading, Student
from pqrnn.encoders.teachers import EncoderTeacher
from pqrnn.errors import TrainingError
from pqrnn.recipes.encoder_settings import ObjectiveConfig

Guess = Callable[[Tensor], Tensor]


class Lesson(nn.Module):
    """A student with its teacher and an objective.

    Attributes:
        student: The student.
        note: What is compared, for people.
    """

    def __init__(
        self, student: Student, teacher: EncoderTeacher, config: ObjectiveConfig, guess: Guess | None = None
    ) -> None:
        """Make what the objective needs beside the student.

        Args:
            student: The student.
            teacher: The teacher.
            config: The objective.
            guess: The teacher's logits of the subwords among which the student guesses, from its last states; for `od`.

        Raises:
            TrainingError: The objective does not suit the two shapes.
        """
        super().__init__()
        self.student, self._teacher, self._config, self._guess = student, teacher, config, guess
        self.head = student.make_head() if config.objective == "od" else None
        self._pairs: tuple[tuple[int, int], ...] = ()
        try:
            if config.objective == "hs":
                self._pairs = map_layers(config.mapping, student.depth, teacher.depth, config.last_k)
            self._heads = choose_heads(student.width, teacher.width, config.relation_heads)
        except ValueError as error:
            raise TrainingError(f"these settings make no objective: {error}") from error
        layers = sorted({mine for mine, _ in self._pairs}) if student.width != teacher.width else []
        self.projections = nn.ModuleDict(
            {str(layer): nn.Linear(student.width, teacher.width, False) for layer in layers}
        )
        self.note = self._describe()

    def forward(self, reading: Reading) -> Tensor:
        """Return the loss of a batch, float32[]."""
        trace, theirs = self.student.trace(reading), self._teacher.trace(reading.tokens)
        if self._config.objective == "od":
            return self._output_loss(trace.states[-1], theirs.states[-1], reading)
        seen = self.student.view(theirs, reading)
        if self._config.objective == "hs":
            mine = [self._project(trace.states[layer], layer) for layer, _ in self._pairs]
            return hidden_loss(mine, [seen.states[layer] for _, layer in self._pairs], seen.mask)
        assert trace.relatives is not None and seen.relatives is not None
        return relation_loss(trace.relatives, seen.relatives, seen.mask, self._heads)

    def _project(self, states: Tensor, layer: int) -> Tensor:
        return self.projections[str(layer)](states).float() if str(layer) in self.projections else states

    def _output_loss(self, mine: Tensor, its: Tensor, reading: Reading) -> Tensor:
        assert self.head is not None and self._guess is not None
        here, there = self.student.hidden_units(reading)
        with torch.no_grad():
            wanted = self._guess(its[there[:, 0], there[:, 1]])
        return output_loss(self.head(mine[here[:, 0], here[:, 1]]), wanted)

    def _describe(self) -> str:
        config, student, teacher = self._config, self.student, self._teacher
        if config.objective == "od":
            return f"od: guesses of hidden words among {len(student.guesses):,} subwords"
        if config.objective == "hs":
            pairs = ", ".join(f"{mine} from {its}" for mine, its in self._pairs)
            return f"hs, {config.mapping}: layers {pairs}"
        return f"mha: relations of layer {teacher.layer} of {teacher.depth} in {self._heads} heads"
