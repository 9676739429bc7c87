"""This package's own method: box first, contour in the box's frame, auxiliary heads, late language gates."""
