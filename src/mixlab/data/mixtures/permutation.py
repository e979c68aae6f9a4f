"""Which window a draw is: a permutation of a source's windows for every epoch, computed place by place.

A keyed Feistel network over the smallest power of two that holds all windows; a value beyond them is put in again
("cycle-walking", Black and Rogaway 2002), so that what comes out is a bijection. Nothing is held in memory, any draw
costs the same, and integer arithmetic alone decides it: the result is the same on every machine and for ever.
"""

import hashlib

import numpy as np

_ROUNDS = 8
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
"""Multipliers of splitmix64's finalizer (Steele, Lea, Flood 2014; https://prng.di.unimi.it/splitmix64.c)."""
_STEP = np.uint64(0x9E3779B97F4A7C15)
_SHIFT_1, _SHIFT_2 = np.uint64(31), np.uint64(29)
_ONE = np.uint64(1)
LARGEST = 1 << 48
"""Most windows of one source."""


def build_stream_key(seed: int, stream: str) -> int:
    """Return the 64-bit key of a source's permutations: `seed` is the mixture's, `stream` names the source."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{stream}".encode()).digest()[:8], "little")


def find_windows(draws: np.ndarray, windows: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Return the window, int64, that each draw of a source takes.

    `draws` [N] counts from 0 through all epochs; `windows` [N] is how many the draw's source has (1 to 2^48), `keys`
    uint64 [N] its stream key. Draws e*W to (e+1)*W - 1 of one source are a permutation of its W windows.
    """
    draws, sizes = draws.astype(np.uint64), windows.astype(np.uint64)
    epochs, values = draws // sizes, draws % sizes
    epoch_keys = _mix(keys.astype(np.uint64) + epochs * _STEP)
    bits: np.ndarray = np.frexp((sizes - _ONE).astype(np.float64))[1]
    low = ((bits + 1) // 2).astype(np.uint64)
    high = (bits // 2).astype(np.uint64)
    found = _scramble(values, epoch_keys, low, high)
    outside: np.ndarray = np.flatnonzero(found >= sizes)
    while len(outside):
        found[outside] = _scramble(found[outside], epoch_keys[outside], low[outside], high[outside])
        outside = outside[found[outside] >= sizes[outside]]
    return found.astype(np.int64)


def _scramble(values: np.ndarray, keys: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """One pass of the network: halves of `low` and `high` bits change each other in turn."""
    low_mask, high_mask = (_ONE << low) - _ONE, (_ONE << high) - _ONE
    right, left = values & low_mask, values >> low
    for number in range(0, _ROUNDS, 2):
        right ^= _mix_round(left, keys, number) & low_mask
        left ^= _mix_round(right, keys, number + 1) & high_mask
    joined: np.ndarray = (left << low) | right
    return joined


def _mix_round(values: np.ndarray, keys: np.ndarray, number: int) -> np.ndarray:
    mixed = values * _STEP
    mixed += keys
    mixed += np.uint64((number + 1) * 0xD1342543DE82EF95 & 0xFFFFFFFFFFFFFFFF)
    mixed ^= mixed >> _SHIFT_1
    mixed *= _MIX_1
    mixed ^= mixed >> _SHIFT_2
    return mixed


def _mix(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> np.uint64(30))) * _MIX_1
    values = (values ^ (values >> np.uint64(27))) * _MIX_2
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
