"""Small files whose headers claim many pixels."""

import struct
import zlib


def png_that_claims(width: int, height: int) -> bytes:
    """A file of some hundred bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))

    header = struct.pack('>IIBBBBB', width, height, 1, 0, 0, 0, 0)
    body = chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(b'\0' * 1000)) + chunk(b'IEND', b'')
    return b'\x89PNG\r\n\x1a\n' + body


def bmp_that_claims(width: int, height: int) -> bytes:
    return b'BM' + struct.pack('<IHHIIiiHHIIiiII', 100, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
