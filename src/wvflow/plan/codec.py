"""Bundles as bytes, and the hash of their content.

The bytes are JSON with sorted keys, the same in every process and under every hash seed. The hash covers the flows
alone: places are for messages, so that moving a line makes no new version of a flow.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from wvflow.plan.nodes import Bundle

_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Bundle)


def encode(bundle: Bundle) -> bytes:
    """The bundle as canonical JSON."""
    return _encoder.encode(bundle)


def decode(data: bytes) -> Bundle:
    """The bundle that ``encode`` wrote.

    Raises:
        msgspec.ValidationError, msgspec.DecodeError: the bytes are no bundle.
    """
    return _decoder.decode(data)


def digest(bundle: Bundle) -> str:
    """SHA-256 of the flows, in hexadecimal: what a run pins."""
    return sha256(_encoder.encode(bundle.flows)).hexdigest()
