"""A plan as a picture: layers and their order, places and lines, boxes, SVG."""
