"""What the folder of a training run holds, for readers that do without PyTorch; `pqrnn.checkpoint` reads and writes it.

A finished run holds the facts, the weights, the log and the learning curves; an unfinished one holds its state.
"""

FACTS = "checkpoint.json"
WEIGHTS = "model.safetensors"
STATE = "state/training.safetensors"
LOG = "log.jsonl"
ENCODER = "encoder.json"  # of a distilled encoder, which is no parser yet
QUESTIONS = "questions.json"  # of a model that answers questions, which is no parser
CURVES = "curves.png"
GOLDEN_TEXTS = 48  # texts that a checkpoint keeps for checking compiled code
