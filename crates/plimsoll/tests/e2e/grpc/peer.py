"""Both ends of gRPC, from Google's library, with messages that are plain bytes: no compiler of protocols is needed.

    peer.py serve ADDRESS [CERTIFICATE KEY]      serves until it is ended
    peer.py call ADDRESS [AUTHORITY NAME]        makes calls of every kind, and says "all calls are as they should be"
"""

import queue
import sys
import threading
from concurrent import futures

import grpc

OPTIONS = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]
LONG = bytes(range(256)) * 12_000  # longer than any window on the way
cancelled = threading.Event()


def tell(context):
    """What came with the call goes back in front of the answer, and something behind it."""
    asked = dict(context.invocation_metadata()).get("x-asked", "")
    context.send_initial_metadata((("x-seen", asked), ("x-raw-bin", b"\0\xff")))
    context.set_trailing_metadata((("x-end", "told last"),))


def unary(request, context):
    tell(context)
    return request[::-1]


def many_from_server(request, context):
    tell(context)
    for number in range(int(request)):
        yield b"%d" % number


def many_from_client(requests, context):
    tell(context)
    return b"%d" % sum(len(request) for request in requests)


def both_ways(requests, context):
    tell(context)
    for request in requests:
        yield request.upper()


def fail(request, context):
    yield b"one"
    yield b"two"
    context.set_trailing_metadata((("x-end", "told last"),))
    context.abort(grpc.StatusCode.NOT_FOUND, "nothing of that name: \u00fc%")


def hang(request, context):
    context.add_callback(cancelled.set)
    yield b"begun"
    cancelled.wait(60)


def was_cancelled(request, context):
    return b"yes" if cancelled.wait(50) else b"no"


def serve(address, files):
    def rows():
        yield "Unary", grpc.unary_unary_rpc_method_handler(unary)
        yield "ManyFromServer", grpc.unary_stream_rpc_method_handler(many_from_server)
        yield "ManyFromClient", grpc.stream_unary_rpc_method_handler(many_from_client)
        yield "BothWays", grpc.stream_stream_rpc_method_handler(both_ways)
        yield "Fail", grpc.unary_stream_rpc_method_handler(fail)
        yield "Hang", grpc.unary_stream_rpc_method_handler(hang)
        yield "WasCancelled", grpc.unary_unary_rpc_method_handler(was_cancelled)

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Peer", dict(rows())),))
    if files:
        certificate, key = (open(path, "rb").read() for path in files)
        port = server.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)]))
    else:
        port = server.add_insecure_port(address)
    assert port != 0, "the address is taken"
    server.start()
    server.wait_for_termination()


class Asking:
    """A stream of requests that the test feeds one by one."""

    def __init__(self):
        self.waiting = queue.Queue()

    def put(self, message):
        self.waiting.put(message)

    def __iter__(self):
        return iter(self.waiting.get, None)


METADATA = (("x-asked", "first"),)


def check_metadata(call):
    first = dict(call.initial_metadata())
    assert first.get("x-seen") == "first", first
    assert first.get("x-raw-bin") == b"\0\xff", first
    assert dict(call.trailing_metadata()).get("x-end") == "told last", call.trailing_metadata()
    assert call.code() == grpc.StatusCode.OK, call.code()


def call_unary(channel):
    method = channel.unary_unary("/test.Peer/Unary")
    for message in (b"abc", b"", LONG):
        answer, call = method.with_call(message, metadata=METADATA, timeout=60)
        assert answer == message[::-1], len(answer)
        check_metadata(call)


def call_streams(channel):
    call = channel.unary_stream("/test.Peer/ManyFromServer")(b"5000", metadata=METADATA, timeout=60)
    assert list(call) == [b"%d" % number for number in range(5000)]
    check_metadata(call)
    method = channel.stream_unary("/test.Peer/ManyFromClient")
    messages = [b"x" * (number % 3000) for number in range(2000)]
    answer, call = method.with_call(iter(messages), metadata=METADATA, timeout=60)
    assert int(answer) == sum(map(len, messages)), answer
    check_metadata(call)


def call_both_ways(channel, rounds):
    """Each message is sent only when the answer to the one before has come: nothing may be held back on the way."""
    asking = Asking()
    call = channel.stream_stream("/test.Peer/BothWays")(iter(asking), metadata=METADATA, timeout=60)
    for number in range(rounds):
        asking.put(b"message %d" % number)
        assert next(call) == b"MESSAGE %d" % number
    asking.put(None)
    assert list(call) == []
    check_metadata(call)


def call_side_by_side(channel):
    with futures.ThreadPoolExecutor(max_workers=20) as pool:
        for done in [pool.submit(call_both_ways, channel, 20) for _ in range(20)]:
            done.result()


def call_fails(channel):
    call = channel.unary_stream("/test.Peer/Fail")(b"", timeout=60)
    assert [next(call), next(call)] == [b"one", b"two"]
    try:
        next(call)
        raise AssertionError("it fails")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error
        assert error.details() == "nothing of that name: \u00fc%", error
        assert dict(error.trailing_metadata()).get("x-end") == "told last", error
    try:
        channel.unary_unary("/test.Peer/Nobody")(b"", timeout=60)
        raise AssertionError("it fails")
    except grpc.RpcError as error:  # the head of the response is its end ("trailers only")
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error


def call_cancelled(channel):
    call = channel.unary_stream("/test.Peer/Hang")(b"", timeout=60)
    assert next(call) == b"begun"
    call.cancel()
    assert channel.unary_unary("/test.Peer/WasCancelled")(b"", timeout=60) == b"yes"


def call(address, files):
    if files:
        credentials = grpc.ssl_channel_credentials(open(files[0], "rb").read())
        options = OPTIONS + [("grpc.ssl_target_name_override", files[1])]
        channel = grpc.secure_channel(address, credentials, options)
    else:
        channel = grpc.insecure_channel(address, OPTIONS)
    grpc.channel_ready_future(channel).result(60)
    call_unary(channel)
    call_streams(channel)
    call_both_ways(channel, 200)
    call_side_by_side(channel)
    call_fails(channel)
    call_cancelled(channel)
    print("all calls are as they should be")


if __name__ == "__main__":
    {"serve": serve, "call": call}[sys.argv[1]](sys.argv[2], sys.argv[3:])
