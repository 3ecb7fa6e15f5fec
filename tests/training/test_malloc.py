"""Memory that tensors leave is used again."""

import platform
import resource

import pytest
import torch

from framework.training.runtime import Runtime

NUMBERS = 2**23
PAGES = 4 * NUMBERS // resource.getpagesize()


def faults_of_a_large_tensor() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(NUMBERS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have their own ways")
def test_a_large_tensor_takes_the_memory_of_the_one_before():
    Runtime(device="cpu")
    # The first few find their place: what is free is a little too small for an aligned tensor of its size.
    found = [faults_of_a_large_tensor() for _ in range(20)]
    assert max(found[-5:]) < PAGES / 10
