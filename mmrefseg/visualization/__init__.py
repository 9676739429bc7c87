"""Drawing expressions, boxes, points and masks."""
