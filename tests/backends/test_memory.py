"""What counts as running out of memory: what allocators and libraries really say, and nothing that only sounds so."""

import errno

import numpy as np
import pytest

from onoff_core.backends.memory import is_out_of_memory
from onoff_core.errors import ModelError


class OutOfMemoryError(RuntimeError):
    """By its name torch's, which a process without torch cannot import."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
            "allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
        ),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes. Buy new RAM!"),
        RuntimeError("could not create a memory object"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.0 GB, max allowed: 9.1 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("Memory footprint 12 GB is more than available memory 8 GB"),
        RuntimeError("std::bad_alloc"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        np._core._exceptions._ArrayMemoryError((2**40,), np.dtype(float)),
    ],
)
def test_out_of_memory(error: BaseException) -> None:
    assert is_out_of_memory(error)
    told = ModelError("models.x: lower sampling.max_length")
    told.__cause__ = error
    assert is_out_of_memory(told)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ValueError("out of memory"),  # such as a problem that is about computers
        OSError(errno.ENOSPC, "No space left on device"),
        ModelError("the logits are not finite"),
    ],
)
def test_other_errors(error: BaseException) -> None:
    assert not is_out_of_memory(error)
