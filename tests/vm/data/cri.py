"""Runs one container as the kubelet has containerd run it (CRI v1), on the host's network.

    cri.py POD NAME [--user UID] [--add CAP] [--drop CAP] -- WORD...

Ends with the container's exit code. The messages are those of the Kubernetes
`runtime.v1` API, in protobuf's wire form: a field is its number, and what is in it.
"""

import argparse
import sys
import time

import grpc

SOCKET = "unix:///run/containerd/containerd.sock"
IMAGE = "localhost/busybox:latest"
NODE, EXITED = 2, 2


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def message(*fields):
    """A message of (number, value): text, bytes of another message, or a number."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def fields(data):
    """The fields of a message, the last of each number."""
    found, at = {}, 0

    def number():
        nonlocal at
        result, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return result

    while at < len(data):
        key = number()
        if key & 7 == 0:
            found[key >> 3] = number()
        else:
            length = number()
            found[key >> 3] = data[at : at + length]
            at += length
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pod")
    parser.add_argument("name")
    parser.add_argument("--user", type=int)
    parser.add_argument("--add", action="append", default=[])
    parser.add_argument("--drop", action="append", default=[])
    parser.add_argument("words", nargs="+")
    args = parser.parse_args()
    channel = grpc.insecure_channel(SOCKET)

    def call(method, *request):
        return fields(channel.unary_unary("/runtime.v1.RuntimeService/" + method)(message(*request)))

    uid = "1d2c3b4a-0001-4002-8003-" + args.pod.encode().hex()[:12].ljust(12, "0")
    network = message((1, NODE))
    pod = message(
        (1, message((1, args.pod), (2, uid), (3, "agents"))),
        (8, message((1, f"/kubepods/besteffort/pod{uid}"), (2, message((1, network))))),
    )
    sandbox = call("RunPodSandbox", (1, pod))[1]
    capabilities = [(1, name) for name in args.add] + [(2, name) for name in args.drop]
    security = [(1, message(*capabilities)), (3, network)]
    if args.user is not None:
        security.append((5, message((1, args.user))))
    mount = message((1, "/openshell-sandbox"), (2, "/usr/local/bin/openshell-sandbox"), (3, 1))
    container = message(
        (1, message((1, args.name))),
        (2, message((1, IMAGE))),
        *((3, word) for word in args.words),
        (7, mount),
        (15, message((2, message(*security)))),
    )
    container = call("CreateContainer", (1, sandbox), (2, container), (3, pod))[1]
    call("StartContainer", (1, container))
    for _ in range(600):
        status = fields(call("ContainerStatus", (1, container))[1])
        if status.get(3, 0) == EXITED:
            break
        time.sleep(0.1)
    call("StopPodSandbox", (1, sandbox))
    call("RemovePodSandbox", (1, sandbox))
    sys.exit(status.get(7, 0))


main()
