"""Masks and boxes as data: run-length codes, polygons, bitmaps, boxes, and the way between them. No torch."""
