"""The C interface of native parsers (`compile.native.header`) for ctypes: structures, codes and flags."""

from __future__ import annotations

import ctypes

ABI = 1
CALIBRATED_SINCE = 0x10001  # version 1.1: calibrated scores, least scores, alternatives
TOO_LONG, WRONG_PROCESSOR, NO_CALIBRATION = 1, 4, 7
TRUNCATE = 1
RECOMMENDED = -1.0
# The same two structures for `struct`, in this machine's own layout.
ANSWER_FORMAT = "@I5id5Pd2iP"
SLOT_FORMAT = "@P4i"


class AnswerSlot(ctypes.Structure):
    """`pqrnn_answer_slot_t`."""

    _fields_ = (
        ("label", ctypes.c_char_p),
        ("start", ctypes.c_int32),
        ("end", ctypes.c_int32),
        ("first", ctypes.c_int32),
        ("last", ctypes.c_int32),
    )


class Answer(ctypes.Structure):
    """`pqrnn_answer_t`."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("intent", ctypes.c_int32),
        ("words", ctypes.c_int32),
        ("truncated", ctypes.c_int32),
        ("slot_count", ctypes.c_int32),
        ("read", ctypes.c_int32),
        ("score", ctypes.c_double),
        ("intent_name", ctypes.c_char_p),
        ("slots", ctypes.POINTER(AnswerSlot)),
        ("intent_logits", ctypes.POINTER(ctypes.c_float)),
        ("tag_logits", ctypes.POINTER(ctypes.c_float)),
        ("spans", ctypes.POINTER(ctypes.c_int32)),
        ("in_scope", ctypes.c_double),
        ("calibrated", ctypes.c_int32),
        ("rejected", ctypes.c_int32),
        ("slot_scores", ctypes.POINTER(ctypes.c_double)),
    )


class Ranked(ctypes.Structure):
    """`pqrnn_ranked_t`."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("score", ctypes.c_double),
        ("intent", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
    )
