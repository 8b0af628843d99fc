"""What of pika is used that pika does not promise: a release that changes it fails here, and not on somebody's Friday."""

from __future__ import annotations

import inspect

import pytest
from pika import SelectConnection
from pika.adapters.utils.io_services_utils import _AsyncTransportBase

#: methods that adapters/amqp/connection.py overrides or calls, and their parameters
METHODS = {
    "_on_data_available": ["self", "data_in"],
    "_on_stream_connected": ["self"],
    "_process_frame": ["self", "frame_value"],
    "_output_marshaled_frames": ["self", "marshaled_frames"],
    "_terminate_stream": ["self", "error"],
}

#: attributes that it reads or writes, and that pika's own code keeps in the same way
ATTRIBUTES = [
    "self._opened = True",
    "self._frame_buffer += data_in",
    "self.bytes_received += byte_count",
    "self.frames_received += 1",
]


@pytest.mark.parametrize("name", METHODS)
def test_pika_has_the_method(name: str) -> None:
    assert list(inspect.signature(getattr(SelectConnection, name)).parameters) == METHODS[name]


@pytest.mark.parametrize("line", ATTRIBUTES)
def test_pika_keeps_the_attribute(line: str) -> None:
    kind = next(kind for kind in SelectConnection.__mro__ if kind.__name__ == "Connection")
    assert line in inspect.getsource(kind)


def test_pika_reads_as_much_at_a_time_as_it_is_told() -> None:
    assert isinstance(_AsyncTransportBase._MAX_RECV_BYTES, int)
    assert "self._MAX_RECV_BYTES" in inspect.getsource(_AsyncTransportBase._consume)
