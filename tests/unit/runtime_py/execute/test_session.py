"""What the runtime's binding raises becomes an error of this package, whatever its status was."""

from __future__ import annotations

from typing import Any

import pytest

from runtime_py.errors import DeviceError
from runtime_py.execute import session
from runtime_py.package_format.manifest import Bucket


@pytest.mark.parametrize("kind", [RuntimeError, ValueError, IndexError, KeyError, NotImplementedError])
def test_a_module_that_the_runtime_refuses_is_a_device_error(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Machine code with changed bytes asks for 255 constants where there are 64, which is out of range."""

    def refuse(*_: Any) -> Any:
        raise kind("dispatch requiring 255 constants exceeds limit of 64")

    monkeypatch.setattr(session.rt, "VmContext", refuse)
    monkeypatch.setattr(session.rt.VmModule, "from_buffer", lambda *_, **__: object())
    with pytest.raises(DeviceError, match=r"refuses the module .*255 constants"):
        session.Session(memoryview(b"code"), [Bucket(4, 32, "parse_4")], 1, 1, 1, "here")
