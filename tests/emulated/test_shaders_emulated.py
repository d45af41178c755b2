"""Shaders on software Vulkan: products right to the last bit with every number of lanes, and no second executable."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from makers.shaders import (
    PRODUCTS,
    RECURRENCES,
    compile_shaders,
    matmul_case,
    product_case,
    recurrence_case,
    run_shader,
)

from compile.emulation.runner import Runner
from compile.verify.static_checks import shader_features, uses_subgroups


@pytest.mark.parametrize(
    ("target", "kind", "lanes"),
    [("vulkan", "lavapipe", 8), ("vulkan-mali-valhall", "lavapipe", 16), ("vulkan", "swiftshader", 0)],
)
def test_products_are_exact_and_recurrences_near(
    target: str, kind: str, lanes: int, emulated: Callable[..., Runner], tmp_path: Path
) -> None:
    runner = emulated(kind, "", lanes)
    exact = [*(product_case(sizes, scaled=False) for sizes in PRODUCTS), matmul_case(11, 36, 48)]
    near = [product_case(sizes, scaled=True) for sizes in PRODUCTS[:2]]
    recurrences = [recurrence_case(sizes) for sizes in RECURRENCES]
    module = compile_shaders([case.shader for case in (*exact, *near, *recurrences)], target, tmp_path)
    for case in exact:
        np.testing.assert_array_equal(run_shader(runner, module, case, tmp_path), case.wanted, err_msg=case.shader.name)
    for case in near:
        found = run_shader(runner, module, case, tmp_path)
        np.testing.assert_allclose(found, case.wanted, rtol=1e-6, atol=1e-5, err_msg=case.shader.name)
    for case in recurrences:
        found = run_shader(runner, module, case, tmp_path)
        np.testing.assert_allclose(found, case.wanted, atol=5e-6, err_msg=case.shader.name)


def test_shaders_need_nothing_that_differs_between_gpus(tmp_path: Path) -> None:
    cases = [product_case(PRODUCTS[2], scaled=True), recurrence_case(RECURRENCES[0])]
    module = compile_shaders([case.shader for case in cases], "vulkan-amd-rdna3", tmp_path)
    code = module.read_bytes()
    assert shader_features(code) == frozenset() and not uses_subgroups(code)
    assert tmp_path.name.encode() not in code and b".mlir" not in code  # the same bytes in every folder
    with zipfile.ZipFile(module) as archive:
        assert len([name for name in archive.namelist() if name.endswith("_code.fb")]) == 1
