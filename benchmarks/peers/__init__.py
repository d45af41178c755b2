"""The same encoder under other runtimes, each behind one interface (`benchmarks.peers.peer.Peer`).

Peers get the features of the words as input, so without the text part that ours includes: no exporter of theirs can
write it. Each gets a graph for exactly the number of words (its best setting). Both forms of the recurrence and all of
its other settings are tried for the shortest, a middle and the longest text, and the fastest is taken for the lengths
around each.

ONNX Runtime comes with the extra `bench`, PyTorch with `train`. The others bring many packages and live in separate
environments, as measured here:

    python -m venv .peers/litert
    .peers/litert/bin/pip install torch==2.13.0 litert-torch==0.10.0 ai-edge-litert==2.3.0 ai-edge-quantizer==0.10.0
    python -m venv .peers/executorch
    .peers/executorch/bin/pip install torch==2.13.0 executorch==1.5.1
"""

from __future__ import annotations

from benchmarks.peers.peer import Peer


def all_peers() -> list[Peer]:
    """Return every peer, also those that cannot run here (`Peer.why_absent`)."""
    from benchmarks.peers.litert import LiteRt
    from benchmarks.peers.onnx_runtime import OnnxRuntime, OnnxRuntimeInt8
    from benchmarks.peers.pytorch import AotInductor, Eager
    from benchmarks.peers.xnnpack import ExecuTorch

    return [
        OnnxRuntime(),
        OnnxRuntimeInt8(),
        ExecuTorch("f32"),
        ExecuTorch("int8"),
        LiteRt("f32"),
        LiteRt("int8"),
        AotInductor(),
        Eager(),
    ]


def find_peer(name: str) -> Peer:
    """Return a peer by its name.

    Raises:
        SystemExit: There is no peer of that name; the message lists those there are.
    """
    for peer in all_peers():
        if peer.name == name:
            return peer
    raise SystemExit(f"no peer {name!r}; there are: {', '.join(peer.name for peer in all_peers())}")
