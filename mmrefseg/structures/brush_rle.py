"""Label Studio's brush masks: the run lengths of the bit stream that thi.ng/rle-pack writes.

Its README specifies it. The header: 32 bits, the number of words; 5 bits, the bits of a word less one; four
times 4 bits, the bits of a count less one. Then chunks until all words are there: 1 bit, whether one word is
repeated or each is written out; 2 bits, which of the four sizes the count has; the count less one; the word,
or the words. All numbers have their highest bit first. The words are the pixels of a picture row by row, four
to a pixel (red, green, blue, alpha), of which the last is the mask.
"""

from collections.abc import Sequence

import numpy as np

from ..utils.errors import Problem, short

# What Label Studio writes.
WORD_BITS = 8
COUNT_BITS = (3, 4, 8, 16)
CHANNELS = 4
HEADER_BITS = 32 + 5 + 4 * 4


class _Bits:
    """Reads numbers from a bit stream."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.end = 8 * len(data)

    def read(self, count: int) -> int:
        """The next number of so many bits, at most 32.

        Raises:
            ValueError: If the stream ends before.
        """
        start, stop = self.position, self.position + count
        if stop > self.end:
            raise ValueError('run lengths that end in the middle')
        self.position = stop
        window = int.from_bytes(self.data[start >> 3 : (stop + 7) >> 3], 'big')
        return window >> (-stop & 7) & ((1 << count) - 1)

    def words(self, count: int, bits: int) -> np.ndarray:
        """So many words one after the other, (count,) int64."""
        start, stop = self.position, self.position + count * bits
        if stop > self.end:
            raise ValueError('run lengths that end in the middle')
        self.position = stop
        piece = np.frombuffer(self.data[start >> 3 : (stop + 7) >> 3], np.uint8)
        found = np.unpackbits(piece)[start & 7 :][: count * bits].reshape(count, bits)
        return found @ (1 << np.arange(bits - 1, -1, -1, dtype=np.int64))


def decode_brush(codes: Sequence[int], height: int, width: int) -> np.ndarray:
    """The mask of a region of Label Studio.

    Args:
        codes: Bytes as whole numbers from 0 to 255, ``value.rle`` of a region.
        height: ``original_height`` of the region, in pixels.
        width: ``original_width`` of the region, in pixels.

    Returns:
        (height, width) bool: where alpha is at least half.

    Raises:
        ValueError: If these are no such codes, or those of an image of another size; its text names what was
            found.
    """
    bits = _Bits(_as_bytes(codes))
    count = bits.read(32)
    word_bits = bits.read(5) + 1
    sizes = [bits.read(4) + 1 for _ in range(4)]
    if count != CHANNELS * height * width:
        raise ValueError(f'run lengths of {count} words')
    lengths, alphas, position = [], [], 0
    # Only every fourth word is of use, but a run may begin at any: the words of a run differ in nothing.
    while position < count:
        repeated, size = bits.read(1), sizes[bits.read(2)]
        length = bits.read(size) + 1
        if position + length > count:
            raise ValueError(f'run lengths that go on beyond the {count} words')
        if repeated:
            words = np.full(1, bits.read(word_bits))
            lengths.append(np.full(1, length))
        else:
            words = bits.words(length, word_bits)
            lengths.append(np.ones(length, np.int64))
        alphas.append(words)
        position += length
    opaque = np.concatenate(alphas) >= 1 << (word_bits - 1)
    words = np.repeat(opaque, np.concatenate(lengths))
    return words.reshape(height, width, CHANNELS)[..., -1].copy()


def encode_brush(mask: np.ndarray) -> list[int]:
    """A mask as Label Studio's brush writes it: all four words of a pixel 255 in the mask, 0 outside.

    Args:
        mask: (H, W), true inside.

    Returns:
        Bytes as whole numbers from 0 to 255.
    """
    flat = np.ascontiguousarray(mask, bool).ravel()
    bounds = np.flatnonzero(np.diff(flat)) + 1
    starts = np.concatenate([[0], bounds])
    lengths = CHANNELS * np.diff(np.concatenate([starts, [flat.size]]))
    text = [f'{CHANNELS * flat.size:032b}{WORD_BITS - 1:05b}', *(f'{size - 1:04b}' for size in COUNT_BITS)]
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        word = '1' * WORD_BITS if flat[start] else '0' * WORD_BITS
        while length > 0:
            piece = min(length, 1 << COUNT_BITS[-1])
            kind = next(number for number, size in enumerate(COUNT_BITS) if piece <= 1 << size)
            text.append(f'1{kind:02b}{piece - 1:0{COUNT_BITS[kind]}b}{word}')
            length -= piece
    stream = ''.join(text)
    stream += '0' * (-len(stream) % 8)
    return list(int(stream, 2).to_bytes(len(stream) // 8, 'big'))


def brush_problem(codes: object, height: int, width: int) -> tuple[Problem | None, np.ndarray | None]:
    """What is wrong with the codes of a brush mask, and the mask (H, W) bool if nothing is."""
    try:
        return None, decode_brush(codes, height, width)
    except ValueError as error:
        return Problem(
            str(error),
            f'{CHANNELS} x {width} x {height} words in the run lengths of a brush',
            'export the annotations again',
        ), None


def _as_bytes(codes: object) -> bytes:
    if not isinstance(codes, list | tuple | bytes) or len(codes) * 8 < HEADER_BITS:
        raise ValueError(f'run lengths {short(codes)}')
    try:
        return bytes(codes)
    except (TypeError, ValueError):
        raise ValueError('run lengths that are no bytes') from None
