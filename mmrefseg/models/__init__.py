"""The papers' networks: SeqTR, Partial-RES, LAVT and detectron2's Mask R-CNN.

``extended`` is this package's own method, ``acceleration`` what makes the same networks faster.
"""

from .. import compat  # noqa: F401  (before anything imports mmdet)
