from .contour_codec import ContourCodec
from .polygons import polygon_area, vertices_to_mask, vertices_to_rle

__all__ = ['ContourCodec', 'polygon_area', 'vertices_to_mask', 'vertices_to_rle']
